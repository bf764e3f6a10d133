namespace Sluice.Caching.Tree;

/// <summary>The orders a heap of nodes may have.</summary>
internal static class NodeHeap
{
    /// <summary>A node's key in one order, and where it notes its place.</summary>
    internal interface IOrder
    {
        static abstract double Key(PrefixNode node);

        static abstract ref int Index(PrefixNode node);
    }

    /// <summary>Checkpoints of all salts by worth.</summary>
    internal readonly struct ByWorth : IOrder
    {
        public static double Key(PrefixNode node) => node.Worth;

        public static ref int Index(PrefixNode node) => ref node.WorthIndex;
    }

    /// <summary>Checkpoints of one salt by worth.</summary>
    internal readonly struct BySaltWorth : IOrder
    {
        public static double Key(PrefixNode node) => node.Worth;

        public static ref int Index(PrefixNode node) => ref node.SaltWorthIndex;
    }

    /// <summary>Ghosts without children by last touch.</summary>
    internal readonly struct ByTouch : IOrder
    {
        public static double Key(PrefixNode node) => node.LastTouch;

        public static ref int Index(PrefixNode node) => ref node.GhostIndex;
    }
}

/// <summary>
/// A binary heap of nodes, smallest key first, in which each node knows its place: any node can be moved or removed in
/// logarithmic time. Equal keys go by node number, so that the order never depends on history.
/// </summary>
internal sealed class NodeHeap<TOrder>
    where TOrder : struct, NodeHeap.IOrder
{
    private PrefixNode[] _nodes = new PrefixNode[16];

    public int Count { get; private set; }

    public PrefixNode Min => _nodes[0];

    public PrefixNode this[int index] => _nodes[index];

    public static bool Contains(PrefixNode node) => TOrder.Index(node) >= 0;

    public void Push(PrefixNode node)
    {
        if (Count == _nodes.Length)
            Array.Resize(ref _nodes, Count * 2);
        Place(node, Count++);
        Rise(node);
    }

    public void Remove(PrefixNode node)
    {
        int index = TOrder.Index(node);
        PrefixNode last = _nodes[--Count];
        _nodes[Count] = null!;
        TOrder.Index(node) = -1;
        if (last == node)
            return;
        Place(last, index);
        Restore(last);
    }

    /// <summary>The node's key has changed.</summary>
    public void Restore(PrefixNode node)
    {
        Rise(node);
        Sink(node);
    }

    private static bool Before(PrefixNode a, PrefixNode b)
    {
        double x = TOrder.Key(a), y = TOrder.Key(b);
        return x < y || (x == y && a.Id < b.Id);
    }

    private void Place(PrefixNode node, int index)
    {
        _nodes[index] = node;
        TOrder.Index(node) = index;
    }

    private void Rise(PrefixNode node)
    {
        int index = TOrder.Index(node);
        while (index > 0)
        {
            int above = (index - 1) / 2;
            if (!Before(node, _nodes[above]))
                break;
            Place(_nodes[above], index);
            index = above;
        }

        Place(node, index);
    }

    private void Sink(PrefixNode node)
    {
        int index = TOrder.Index(node);
        while (true)
        {
            int below = (2 * index) + 1;
            if (below >= Count)
                break;
            if (below + 1 < Count && Before(_nodes[below + 1], _nodes[below]))
                below++;
            if (!Before(_nodes[below], node))
                break;
            Place(_nodes[below], index);
            index = below;
        }

        Place(node, index);
    }
}
