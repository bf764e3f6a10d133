namespace Sluice.Constraints.Automata;

/// <summary>A set of Unicode scalar values (no surrogates) as sorted, disjoint, non-adjacent ranges.</summary>
internal sealed class CodePointSet
{
    private const int FirstSurrogate = 0xD800, LastSurrogate = 0xDFFF, Last = 0x10FFFF;

    private readonly (int First, int Last)[] _ranges;

    private CodePointSet((int First, int Last)[] ranges) => _ranges = ranges;

    /// <summary>Every scalar value.</summary>
    public static CodePointSet All { get; } = Of((0, Last));

    public static CodePointSet None { get; } = new([]);

    public IReadOnlyList<(int First, int Last)> Ranges => _ranges;

    public bool IsEmpty => _ranges.Length == 0;

    public static CodePointSet Of(params IEnumerable<(int First, int Last)> ranges)
    {
        var sorted = new List<(int First, int Last)>();
        foreach ((int first, int last) in ranges)
        {
            Add(first, Math.Min(last, FirstSurrogate - 1));
            Add(Math.Max(first, LastSurrogate + 1), last);
        }

        sorted.Sort();
        var merged = new List<(int First, int Last)>();
        foreach (var range in sorted)
        {
            if (merged.Count > 0 && range.First <= merged[^1].Last + 1)
                merged[^1] = (merged[^1].First, Math.Max(merged[^1].Last, range.Last));
            else
                merged.Add(range);
        }

        return new CodePointSet([.. merged]);

        void Add(int first, int last)
        {
            if (first <= last)
                sorted.Add((first, last));
        }
    }

    public static CodePointSet OfCharacters(string characters) => Of(characters.EnumerateRunes().Select(rune => (rune.Value, rune.Value)));

    public CodePointSet Union(CodePointSet other) => Of(_ranges.Concat(other._ranges));

    public CodePointSet Complement()
    {
        var ranges = new List<(int, int)>();
        int next = 0;
        foreach ((int first, int last) in _ranges)
        {
            if (first > next)
                ranges.Add((next, first - 1));
            next = last + 1;
        }

        if (next <= Last)
            ranges.Add((next, Last));
        return Of(ranges);
    }

    public CodePointSet Except(CodePointSet other) => Complement().Union(other).Complement();
}
