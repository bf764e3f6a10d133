namespace Sluice.Constraints.Matching;

/// <summary>Where to go on when a piece is done: at a step, after so many repetitions.</summary>
internal readonly record struct Frame(int Step, int Count) : IComparable<Frame>
{
    public int CompareTo(Frame other) => Step != other.Step ? Step.CompareTo(other.Step) : Count.CompareTo(other.Count);
}

/// <summary>
/// A set of stacks of frames, immutable and one object for each set: the top frames, and below each the set of stacks it may stand on. Ways
/// of reading the same text that differ only deep down share everything else, so that an ambiguous grammar grows sets, not their number.
/// </summary>
internal sealed class StackNode : IEquatable<StackNode>
{
    private readonly Frame[] _frames;
    private readonly StackNode[] _below;
    private readonly int _hash;

    public StackNode(bool isBottom, Frame[] frames, StackNode[] below)
    {
        IsBottom = isBottom;
        _frames = frames;
        _below = below;
        var hash = new HashCode();
        hash.Add(isBottom);
        for (int i = 0; i < frames.Length; i++)
        {
            hash.Add(frames[i]);
            hash.Add(below[i]._hash);
        }

        _hash = hash.ToHashCode();
    }

    /// <summary>Whether one of the stacks is empty: with it, the end of a piece is the end of the text.</summary>
    public bool IsBottom { get; }

    /// <summary>The top frames, ascending.</summary>
    public ReadOnlySpan<Frame> Frames => _frames;

    /// <summary>What each of the top frames stands on.</summary>
    public ReadOnlySpan<StackNode> Below => _below;

    /// <summary>Equal contents; what is below is compared by reference, being one object for each set already.</summary>
    public bool Equals(StackNode? other)
    {
        if (other is null || _hash != other._hash || IsBottom != other.IsBottom || !_frames.AsSpan().SequenceEqual(other._frames))
            return false;
        for (int i = 0; i < _below.Length; i++)
        {
            if (!ReferenceEquals(_below[i], other._below[i]))
                return false;
        }

        return true;
    }

    public override bool Equals(object? obj) => Equals(obj as StackNode);

    public override int GetHashCode() => _hash;
}
