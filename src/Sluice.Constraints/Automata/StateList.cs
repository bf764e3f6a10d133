namespace Sluice.Constraints.Automata;

/// <summary>States of an automaton, compared by content.</summary>
internal readonly struct StateList(int[] values) : IEquatable<StateList>
{
    public int[] Values { get; } = values;

    public bool Equals(StateList other) => Values.AsSpan().SequenceEqual(other.Values);

    public override bool Equals(object? obj) => obj is StateList other && Equals(other);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (int value in Values)
            hash.Add(value);
        return hash.ToHashCode();
    }
}
