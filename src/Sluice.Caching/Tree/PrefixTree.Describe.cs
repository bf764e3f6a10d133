namespace Sluice.Caching.Tree;

/// <summary>A node of the tree, for people to look at. Never what the tokens are.</summary>
/// <param name="Id">Its number.</param>
/// <param name="Parent">The node above it; -1 for the first of a salt.</param>
/// <param name="Salt">Cache salt.</param>
/// <param name="Start">Position of its first token.</param>
/// <param name="Tokens">Tokens in its span.</param>
/// <param name="HasKv">Whether KV is there for the span; a ghost otherwise.</param>
/// <param name="HasState">Whether a state is there for its end.</param>
/// <param name="Reason">Why the state was exported; null when there never was one.</param>
/// <param name="Uses">Requests that continued from the state.</param>
/// <param name="Leases">Requests that are about to.</param>
/// <param name="Children">Nodes below.</param>
public readonly record struct NodeDescription(
    int Id, int Parent, string Salt, int Start, int Tokens, bool HasKv, bool HasState, CheckpointReason? Reason, int Uses, int Leases, int Children);

/// <content>Looking at it, and emptying it.</content>
public sealed partial class PrefixTree
{
    /// <summary>The most recently touched nodes, at most <paramref name="most"/>, parents before children.</summary>
    public List<NodeDescription> Describe(int most)
    {
        List<NodeDescription> nodes = [];
        var frontier = new PriorityQueue<PrefixNode, (long, int)>();
        foreach (SaltTree salt in _salts.Values)
            Enqueue(salt.Root);
        while (nodes.Count < most && frontier.TryDequeue(out PrefixNode? node, out _))
        {
            nodes.Add(Describe(node));
            Enqueue(node);
        }

        return nodes;

        void Enqueue(PrefixNode parent)
        {
            for (PrefixNode? child = parent.FirstChild; child is not null; child = child.NextSibling)
                frontier.Enqueue(child, (-child.LastTouch, child.Id));
        }
    }

    /// <summary>Gives up everything that is not on lease, ghosts too.</summary>
    public void Clear()
    {
        while (LeastWorth(_evictable) is { } victim)
            RemoveCheckpoint(victim);
        while (_ghosts.Count > 0)
            RemoveGhostLeaf(_ghosts.Min);
        foreach (SaltTree salt in _salts.Values.ToArray())
            RemoveIfEmpty(salt);
    }

    private static NodeDescription Describe(PrefixNode node) => new(
        node.Id,
        node.Parent is { IsRoot: false } parent ? parent.Id : -1,
        node.Salt.Name,
        node.Start,
        node.Tokens.Length,
        node.Resident,
        node.HasCheckpoint,
        node.HasCheckpoint || node.LostCheckpoint ? node.Reason : null,
        node.Uses,
        node.Leases,
        node.ChildCount);
}
