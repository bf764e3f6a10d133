using Sluice.Core;

namespace Sluice.Caching.Tree;

/// <summary>How a <see cref="PrefixTree"/> keeps house.</summary>
public sealed record TreeOptions
{
    /// <summary>How checkpoints are valued.</summary>
    public EvictionPolicy Eviction { get; init; } = new();

    /// <summary>Host memory for keys whose KV is gone, bytes (<see cref="PrefixTree.GhostBytes"/>).</summary>
    public long GhostBytes { get; init; } = 64L << 20;

    /// <summary>
    /// Longest span two nodes are merged into. Merging keeps paths short after evictions; the limit keeps the copying of any one
    /// eviction small.
    /// </summary>
    public int MergeTokens { get; init; } = 4096;

    /// <summary>Longest span of a node for models without states, whose KV is evicted node by node from the leaves.</summary>
    public int StatelessSpan { get; init; } = 512;

    internal void Validate()
    {
        Eviction.Validate();
        if (GhostBytes < 0 || MergeTokens < 1 || StatelessSpan < 1)
            throw new ConfigurationException($"prefix tree: expected GhostBytes >= 0, MergeTokens >= 1, StatelessSpan >= 1, found {this}");
    }
}
