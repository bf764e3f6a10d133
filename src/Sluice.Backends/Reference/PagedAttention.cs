using Sluice.Core;

namespace Sluice.Backends.Reference;

/// <summary>
/// Causal grouped-query attention over pages: <c>softmax(q k^T / sqrt(headDim)) v</c> over positions up to the token's own, then
/// <c>* sigmoid(gate)</c> if there is a gate. Query head h reads key and value head <c>h / (queryHeads / kvHeads)</c>.
/// </summary>
internal static class PagedAttention
{
    public static void Run(
        StepBatch batch, AttentionConfig shape, ReferenceActivation q, ReferenceActivation? gate, ReferenceKvCache kv, int layer, ReferenceActivation y)
    {
        foreach (SequenceSpan span in batch.Sequences)
        {
            for (int t = 0; t < span.Count; t++)
            {
                int row = span.FirstRow + t;
                for (int head = 0; head < shape.QueryHeads; head++)
                {
                    Span<float> result = y[row].Slice(head * shape.HeadDim, shape.HeadDim);
                    Attend(
                        q[row].Slice(head * shape.HeadDim, shape.HeadDim), kv, layer, span.PageTable, span.FirstPosition + t,
                        head / (shape.QueryHeads / shape.KvHeads), result);
                    if (gate is null)
                        continue;
                    for (int i = 0; i < shape.HeadDim; i++)
                        result[i] *= Nonlinearity.Sigmoid(gate[row][(head * shape.HeadDim) + i]);
                }
            }
        }
    }

    /// <summary>One query at <paramref name="position"/> over positions 0 to its own.</summary>
    private static void Attend(
        ReadOnlySpan<float> q, ReferenceKvCache kv, int layer, int[] pageTable, int position, int kvHead, Span<float> result)
    {
        float[] weights = new float[position + 1];
        float scale = 1f / MathF.Sqrt(q.Length);
        float largest = float.NegativeInfinity;
        for (int p = 0; p <= position; p++)
        {
            weights[p] = Linear.Dot(q, kv.Key(layer, pageTable, p, kvHead)) * scale;
            largest = Math.Max(largest, weights[p]);
        }

        float sum = 0;
        result.Clear();
        for (int p = 0; p <= position; p++)
        {
            float weight = MathF.Exp(weights[p] - largest);
            sum += weight;
            ReadOnlySpan<float> value = kv.Value(layer, pageTable, p, kvHead);
            for (int i = 0; i < result.Length; i++)
                result[i] = MathF.FusedMultiplyAdd(weight, value[i], result[i]);
        }

        for (int i = 0; i < result.Length; i++)
            result[i] /= sum;
    }
}
