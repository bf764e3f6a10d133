namespace Sluice.Caching.Tree;

/// <summary>
/// The tree of one cache salt and what it costs. Nothing in it can be reached by a request with another salt.
/// </summary>
internal sealed class SaltTree
{
    public SaltTree(string name, int rootId)
    {
        Name = name;
        Root = PrefixNode.Root(this, rootId);
    }

    public string Name { get; }

    public PrefixNode Root { get; }

    /// <summary>Checkpoints that may be evicted, least worth first.</summary>
    public NodeHeap<NodeHeap.BySaltWorth> Evictable { get; } = new();

    /// <summary>Distinct pages held by nodes.</summary>
    public int Pages { get; set; }

    /// <summary>Slots held by nodes.</summary>
    public int Slots { get; set; }
}
