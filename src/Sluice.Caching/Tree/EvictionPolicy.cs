using Sluice.Core;

namespace Sluice.Caching.Tree;

/// <summary>
/// What a checkpoint is worth: the chance that it is used again, times the recompute cost that saves, per byte; halved every
/// <see cref="HalfLife"/> ticks without use.
/// <para>
/// Exponential decay orders any two checkpoints the same way at all times, so worth is kept as its logarithm without the common
/// factor of "now": <c>log2(chance * cost / bytes) + lastUse / halfLife</c>. A heap of such numbers needs no ageing pass.
/// </para>
/// </summary>
public sealed record EvictionPolicy
{
    /// <summary>Ticks while as many bytes are handed out as the memory has: the clock of <see cref="Sequences.PrefixCache"/>.</summary>
    public const int TicksPerTurnover = 1024;

    /// <summary>
    /// Cost of attending to one earlier token, against the rest of a token's forward pass. 3.3e-5 for the 80B (12 layers, 16 heads
    /// of 256, 3 billion active parameters): at 30,000 tokens of context a token costs twice as much.
    /// </summary>
    public double AttentionCost { get; init; } = 3.3e-5;

    /// <summary>
    /// Ticks without use that halve a checkpoint's worth. Age is measured in how often the memory was filled since, so the right
    /// value depends neither on the size of the memory nor on the traffic: half a turnover is near the best on all traces measured.
    /// </summary>
    public double HalfLife { get; init; } = TicksPerTurnover / 2.0;

    /// <summary>
    /// Share of the memory, 0 to 1, up to which a cache salt may evict what other salts cached. Beyond it, it evicts its own; free
    /// memory is anybody's.
    /// </summary>
    public double SaltShare { get; init; } = 0.5;

    /// <summary>
    /// Cost of computing tokens [from, to), in tokens without context; each counted with the last one's context, so that a checkpoint
    /// never loses worth when the one before it goes, which the heaps rely on.
    /// </summary>
    public double Cost(int from, int to) => (to - from) * (1 + (AttentionCost * to));

    /// <summary>The worth of what costs <paramref name="cost"/> to compute again and frees <paramref name="bytes"/> when it goes.</summary>
    public double Worth(double logChance, double cost, double bytes, long lastUse) =>
        logChance + Math.Log2(cost / bytes) + (lastUse / HalfLife);

    internal void Validate()
    {
        if (!(AttentionCost >= 0) || !(HalfLife > 0) || !(SaltShare is > 0 and <= 1))
            throw new ConfigurationException($"eviction: expected AttentionCost >= 0, HalfLife > 0, 0 < SaltShare <= 1, found {this}");
    }
}
