using Sluice.Constraints.Vocabularies;

namespace Sluice.Constraints.Matching;

/// <summary>One way of having read the text so far.</summary>
/// <param name="Leaf">The number of the terminal being read, or the complement of an added token that may come next.</param>
/// <param name="State">The state of the terminal's automaton.</param>
/// <param name="Count">Counted characters so far.</param>
/// <param name="Stack">Where to go on after it.</param>
internal readonly record struct Reading(int Leaf, int State, int Count, StackNode Stack)
{
    public bool IsToken => Leaf < 0;

    public int Token => ~Leaf;
}

/// <summary>
/// Every way of having read the text so far: all that decides how it may go on. Where bytes lead and which tokens may come are found when
/// first asked for and kept.
/// </summary>
internal sealed class ParserState : IEquatable<ParserState>
{
    private readonly Reading[] _readings;
    private readonly int _hash;

    /// <param name="readings">In order of leaf, state, count.</param>
    /// <param name="canEnd">Whether the text may end here.</param>
    /// <param name="classes">Classes of bytes that the grammar distinguishes.</param>
    /// <param name="generation">Which filling of the caches the state belongs to.</param>
    public ParserState(Reading[] readings, bool canEnd, int classes, int generation)
    {
        _readings = readings;
        CanEnd = canEnd;
        Generation = generation;
        Next = new ParserState?[classes];
        var hash = new HashCode();
        hash.Add(canEnd);
        foreach (Reading reading in readings)
            hash.Add(reading);
        _hash = hash.ToHashCode();
        foreach (Reading reading in readings)
            ReadsBytes |= !reading.IsToken;
    }

    /// <summary>Where the text cannot have come.</summary>
    public static ParserState Dead { get; } = new([], canEnd: false, 0, -1);

    public ReadOnlySpan<Reading> Readings => _readings;

    public bool CanEnd { get; }

    /// <summary>Whether ordinary text may come next.</summary>
    public bool ReadsBytes { get; }

    public int Generation { get; }

    /// <summary>By class of byte; null where it has not been asked.</summary>
    public ParserState?[] Next { get; }

    /// <summary>Tokens that may come next: the union of these; null until it has been asked.</summary>
    public TokenSet[]? Allowed { get; set; }

    public Reading[] CopyReadings() => _readings;

    public bool Equals(ParserState? other) =>
        other is not null && _hash == other._hash && CanEnd == other.CanEnd && _readings.AsSpan().SequenceEqual(other._readings);

    public override bool Equals(object? obj) => Equals(obj as ParserState);

    public override int GetHashCode() => _hash;
}
