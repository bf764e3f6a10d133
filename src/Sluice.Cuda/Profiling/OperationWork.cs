using Sluice.Backends;
using Sluice.Core;
using Sluice.Cuda.Memory;

namespace Sluice.Cuda.Profiling;

/// <summary>The least an operation must do: bytes to and from memory, each input and output once, and arithmetic.</summary>
/// <param name="Bytes">Bytes.</param>
/// <param name="Flops">Floating-point operations, two a multiply-add.</param>
internal readonly record struct OperationWork(double Bytes, double Flops)
{
    private const int ElementBytes = 2;

    public static OperationWork operator +(OperationWork a, OperationWork b) => new(a.Bytes + b.Bytes, a.Flops + b.Flops);

    /// <summary>Reads or writes so many rows of so many elements.</summary>
    public static OperationWork Rows(double rows, double elementsPerRow) => new(rows * elementsPerRow * ElementBytes, 0);

    public static OperationWork Linear(double rows, CudaMatrix weight) => new(
        weight.Bytes + (rows * (weight.Rows + weight.Columns) * ElementBytes), 2 * rows * weight.Rows * weight.Columns);

    public static OperationWork Convolution(StepBatch batch, LinearAttentionConfig shape) => new(
        (2.0 * batch.TokenCount * shape.ConvChannels * ElementBytes) + (2.0 * batch.Sequences.Length * shape.ConvStateElements * sizeof(float)), 0);

    /// <summary>Token after token three products with the state; in chunks about as many on matrix units, which the floor counts.</summary>
    public static OperationWork DeltaRule(StepBatch batch, LinearAttentionConfig shape)
    {
        double state = (double)shape.ValueHeads * shape.KeyDim * shape.ValueDim;
        double rows = batch.TokenCount;
        return new(
            (2 * (batch.Sequences.Length + (0.5 * batch.Exports.Length)) * state * sizeof(float))
                + (rows * (shape.ConvChannels + (shape.ValueHeads * shape.ValueDim)) * ElementBytes),
            11 * rows * state);
    }

    /// <summary>Convolution, rule and gated norm with nothing written in between.</summary>
    public static OperationWork DeltaNet(StepBatch batch, LinearAttentionConfig shape)
    {
        OperationWork rule = DeltaRule(batch, shape);
        double conv = 2.0 * (batch.Sequences.Length + (0.5 * batch.Exports.Length)) * shape.ConvStateElements * sizeof(float);
        double gates = (double)batch.TokenCount * shape.ValueHeads * shape.ValueDim * ElementBytes;
        return rule with { Bytes = rule.Bytes + conv + gates };
    }

    public static OperationWork Attention(StepBatch batch, AttentionConfig shape)
    {
        double keys = 0;
        double pairs = 0;
        foreach (SequenceSpan span in batch.Sequences)
        {
            keys += span.FirstPosition + span.Count;
            pairs += ((double)span.Count * span.FirstPosition) + (span.Count * (span.Count + 1.0) / 2);
        }

        return new(
            (2 * keys * shape.KvHeads * shape.HeadDim * ElementBytes) + (3.0 * batch.TokenCount * shape.QueryHeads * shape.HeadDim * ElementBytes),
            4 * pairs * shape.QueryHeads * shape.HeadDim);
    }

    /// <summary>With rows that choose independently, so many experts are met by at least one.</summary>
    public static OperationWork Experts(double rows, int topK, CudaExperts experts)
    {
        double met = experts.Count * (1 - Math.Pow(1 - ((double)topK / experts.Count), rows));
        double each = 3.0 * experts.Hidden * experts.Inner;
        return new((met * each * ElementBytes) + (2 * rows * experts.Hidden * ElementBytes), 2 * rows * topK * each);
    }
}
