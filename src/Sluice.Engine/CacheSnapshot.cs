using Sluice.Caching.Sequences;
using Sluice.Caching.Tree;

namespace Sluice.Engine;

/// <summary>The prefix cache at one moment.</summary>
/// <param name="Use">Budget and counters.</param>
/// <param name="Nodes">The most recently used nodes of the tree, parents before children.</param>
public sealed record CacheSnapshot(CacheUse Use, IReadOnlyList<NodeDescription> Nodes)
{
    internal static CacheSnapshot Of(PrefixCache cache, int mostNodes) => new(CacheUse.Of(cache), cache.Tree.Describe(mostNodes));
}
