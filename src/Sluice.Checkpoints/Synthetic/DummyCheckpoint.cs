using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>
/// Random weights for a configuration alone (<c>--dummy-weights</c>): for benchmarks at sizes nobody has on disk. Any tensor asked
/// for exists, and its bytes are a function of seed, name and position, made as they are read. Matrices have a standard deviation near
/// 1 / sqrt(columns), so that activations keep their size from layer to layer; norms are near what leaves them alone.
/// </summary>
public sealed class DummyCheckpoint : TensorStore
{
    private readonly ulong _seed;

    /// <summary>Makes up the weights of <paramref name="config"/>; another seed, other weights.</summary>
    public DummyCheckpoint(ModelConfig config, ulong seed = 0)
    {
        ArgumentNullException.ThrowIfNull(config);
        Config = config;
        _seed = seed;
    }

    /// <inheritdoc/>
    public override ModelConfig Config { get; }

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => [];

    /// <inheritdoc/>
    public override bool Has(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (name.StartsWith("mtp.", StringComparison.Ordinal))
            return Config.MtpLayers > 0;
        if (name.EndsWith("_proj.bias", StringComparison.Ordinal))
            return Config.Attention.Bias && name.Contains(".self_attn.", StringComparison.Ordinal);
        return name == "lm_head.weight" && !Config.TiedEmbeddings;
    }

    /// <inheritdoc/>
    public override TensorInfo? Find(string name, ReadOnlySpan<int> expectedShape, DType expectedType)
    {
        ArgumentNullException.ThrowIfNull(name);
        DType type = Config.Fp8Block is not null && expectedShape.Length == 2 && RandomWeights.IsQuantised(name)
            ? DType.F8E4M3
            : expectedType;
        long elements = 1;
        foreach (int dimension in expectedShape)
            elements = checked(elements * dimension);
        return new TensorInfo(name, type, expectedShape.ToArray(), Shard: 0, Offset: 0, checked(elements * type.Size()));
    }

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Bytes(TensorInfo tensor, long offset, int count, Span<byte> scratch)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (offset < 0 || count < 0 || offset > tensor.ByteLength - count)
            throw new ArgumentOutOfRangeException(nameof(offset), $"{tensor.Name}: {count} bytes from {offset} are not in its {tensor.ByteLength}");
        Span<byte> bytes = scratch[..count];
        RandomWeights.Fill(tensor, Config, _seed, offset, bytes);
        return bytes;
    }
}
