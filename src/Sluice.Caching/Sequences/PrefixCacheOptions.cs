using Sluice.Caching.Memory;
using Sluice.Caching.Planning;
using Sluice.Caching.Tree;

namespace Sluice.Caching.Sequences;

/// <summary>How a <see cref="PrefixCache"/> works.</summary>
public sealed record PrefixCacheOptions
{
    /// <summary>Whether anything is cached. Off, memory is still shared out the same way.</summary>
    public bool Enabled { get; init; } = true;

    /// <summary>The tree and its eviction.</summary>
    public TreeOptions Tree { get; init; } = new();

    /// <summary>Where checkpoints go.</summary>
    public PlannerOptions Planner { get; init; } = new();

    /// <summary>What is checked as it happens.</summary>
    public MemoryChecks Checks { get; init; } = new();
}

/// <summary>Counts of what a cache did, since its making.</summary>
/// <param name="Admitted">Sequences admitted.</param>
/// <param name="PromptTokens">Tokens they asked for.</param>
/// <param name="CachedTokens">Of those, restored.</param>
/// <param name="Published">Checkpoints the tree took.</param>
/// <param name="Refused">Checkpoints it had already.</param>
/// <param name="Skipped">Planned checkpoints for which there was no room.</param>
/// <param name="Evicted">Checkpoints evicted.</param>
/// <param name="PagesMoved">Pages moved together to free superblocks.</param>
public readonly record struct CacheCounters(
    long Admitted, long PromptTokens, long CachedTokens, long Published, long Refused, long Skipped, long Evicted, long PagesMoved);
