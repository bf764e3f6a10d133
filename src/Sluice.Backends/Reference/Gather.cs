namespace Sluice.Backends.Reference;

/// <summary>Copies of chosen rows.</summary>
internal static class Gather
{
    /// <summary><c>hidden[i] = table[tokens[i]]</c>.</summary>
    public static void Embed(StepBatch batch, ReferenceMatrix table, ReferenceActivation hidden)
    {
        for (int row = 0; row < batch.TokenCount; row++)
            table.DecodeRow(batch.Tokens[row], hidden[row]);
    }

    /// <summary><c>y[i] = x[logitRows[i]]</c>.</summary>
    public static void LogitRows(StepBatch batch, ReferenceActivation x, ReferenceActivation y)
    {
        for (int i = 0; i < batch.LogitRows.Length; i++)
            x[batch.LogitRows[i]].CopyTo(y[i]);
    }
}
