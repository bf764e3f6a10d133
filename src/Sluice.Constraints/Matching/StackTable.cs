using System.Runtime.InteropServices;

namespace Sluice.Constraints.Matching;

/// <summary>Makes stacks, each set of them once.</summary>
internal sealed class StackTable
{
    // Deeper differences are left apart: correct, only less shared, and no recursion follows a text's depth.
    private const int DeepestMerge = 100;

    private readonly Dictionary<StackNode, StackNode> _nodes = [];
    private readonly Dictionary<(Frame, StackNode), StackNode> _pushed = [];

    /// <summary>The empty stack.</summary>
    public StackNode Bottom { get; } = new(isBottom: true, [], []);

    /// <summary>Memory used, roughly.</summary>
    public long Bytes { get; private set; }

    public void Clear()
    {
        _nodes.Clear();
        _pushed.Clear();
        Bytes = 0;
    }

    public StackNode Push(Frame frame, StackNode below)
    {
        ref StackNode? node = ref CollectionsMarshal.GetValueRefOrAddDefault(_pushed, (frame, below), out bool exists);
        if (!exists)
        {
            node = Unique(new StackNode(isBottom: false, [frame], [below]));
            Bytes += 80;
        }

        return node!;
    }

    /// <summary>The union of two sets of stacks; null where they differ too far down.</summary>
    public StackNode? Merge(StackNode a, StackNode b) => Merge(a, b, 0);

    private StackNode? Merge(StackNode a, StackNode b, int depth)
    {
        if (ReferenceEquals(a, b))
            return a;
        if (depth == DeepestMerge)
            return null;
        var frames = new List<Frame>();
        var below = new List<StackNode>();
        for (int i = 0, j = 0; i < a.Frames.Length || j < b.Frames.Length;)
        {
            int order = i == a.Frames.Length ? 1 : j == b.Frames.Length ? -1 : a.Frames[i].CompareTo(b.Frames[j]);
            frames.Add(order <= 0 ? a.Frames[i] : b.Frames[j]);
            if (order != 0)
            {
                below.Add(order < 0 ? a.Below[i] : b.Below[j]);
            }
            else
            {
                if (Merge(a.Below[i], b.Below[j], depth + 1) is not { } merged)
                    return null;
                below.Add(merged);
            }

            if (order <= 0)
                i++;
            if (order >= 0)
                j++;
        }

        return Unique(new StackNode(a.IsBottom || b.IsBottom, [.. frames], [.. below]));
    }

    private StackNode Unique(StackNode node)
    {
        if (_nodes.TryGetValue(node, out StackNode? known))
            return known;
        _nodes.Add(node, node);
        Bytes += 100 + (16L * node.Frames.Length);
        return node;
    }
}
