using Sluice.Backends;

namespace Sluice.Cpu.Operations;

/// <summary>What operations ask about the rows of the current step: whose they are, and the angles of their positions.</summary>
internal sealed unsafe class StepRows : IDisposable
{
    private readonly Memory.Scratch _angles = new("rotary angles");
    private int[] _sequenceOf = [];
    private float* _table;
    private double _theta;
    private int _rotaryDim;

    /// <summary>Takes up a new step.</summary>
    public void Begin(StepBatch batch)
    {
        if (_sequenceOf.Length < batch.TokenCount)
            _sequenceOf = new int[batch.MaxTokens];
        ReadOnlySpan<SequenceSpan> sequences = batch.Sequences;
        for (int i = 0; i < sequences.Length; i++)
            _sequenceOf.AsSpan(sequences[i].FirstRow, sequences[i].Count).Fill(i);
        _table = null;
    }

    /// <summary>Index of the sequence a row belongs to.</summary>
    public int SequenceOf(int row) => _sequenceOf[row];

    /// <summary>
    /// Cosines and sines of every row's position, [rows, cos rotaryDim/2 | sin rotaryDim/2]: computed at the step's first layer and kept
    /// for the others. Frequencies and angles are float32 as in transformers, so that they round alike.
    /// </summary>
    public float* Angles(StepBatch batch, double theta, int rotaryDim)
    {
        if (_table != null && _theta.Equals(theta) && _rotaryDim == rotaryDim)
            return _table;

        int half = rotaryDim / 2;
        float* table = _angles.Take<float>(((long)batch.TokenCount * rotaryDim) + half);
        float* frequencies = table + ((long)batch.TokenCount * rotaryDim);
        for (int i = 0; i < half; i++)
            frequencies[i] = 1f / MathF.Pow((float)theta, 2f * i / rotaryDim);
        for (int row = 0; row < batch.TokenCount; row++)
        {
            float* angles = table + ((long)row * rotaryDim);
            for (int i = 0; i < half; i++)
                (angles[half + i], angles[i]) = MathF.SinCos(batch.Positions[row] * frequencies[i]);
        }

        (_theta, _rotaryDim) = (theta, rotaryDim);
        _table = table;
        return table;
    }

    public void Dispose() => _angles.Dispose();
}
