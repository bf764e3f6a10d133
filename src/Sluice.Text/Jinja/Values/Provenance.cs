namespace Sluice.Text.Jinja;

/// <summary>
/// Which characters of a text the template wrote, the others being input. Text of one origin, which is nearly all text, needs no
/// memory for it; mixed text lists the offsets where the origin flips.
/// </summary>
internal readonly struct Provenance
{
    private readonly bool _startsInTemplate;
    private readonly int[]? _flips;

    /// <summary>Text of mixed origin.</summary>
    /// <param name="startsInTemplate">The origin of the first character.</param>
    /// <param name="flips">Ascending offsets, none of them 0, at which the origin changes.</param>
    public Provenance(bool startsInTemplate, int[]? flips)
    {
        _startsInTemplate = startsInTemplate;
        _flips = flips is { Length: > 0 } ? flips : null;
    }

    public static Provenance Template => new(true, null);

    public static Provenance Input => new(false, null);

    public bool IsAllTemplate => _startsInTemplate && _flips is null;

    public bool IsUniform => _flips is null;

    public bool IsTemplateAt(int offset) => _startsInTemplate ^ ((FlipsUpTo(offset) & 1) != 0);

    /// <summary>The first offset after <paramref name="offset"/> where the origin changes, or <paramref name="end"/> if sooner.</summary>
    public int RunEnd(int offset, int end)
    {
        int flips = FlipsUpTo(offset);
        return _flips is not null && flips < _flips.Length ? Math.Min(_flips[flips], end) : end;
    }

    /// <summary>The provenance of a part of the text.</summary>
    public Provenance Slice(int start, int length)
    {
        if (_flips is null)
        {
            return this;
        }

        int first = FlipsUpTo(start);
        int last = first;
        while (last < _flips.Length && _flips[last] < start + length)
        {
            last++;
        }

        int[] flips = _flips[first..last];
        for (int i = 0; i < flips.Length; i++)
        {
            flips[i] -= start;
        }

        return new Provenance(IsTemplateAt(start), flips);
    }

    /// <summary>The provenance of two texts one after the other, neither of them empty.</summary>
    public static Provenance Join(Provenance left, int leftLength, Provenance right)
    {
        bool flipsBetween = left.IsTemplateAt(leftLength - 1) != right._startsInTemplate;
        if (left._flips is null && right._flips is null && !flipsBetween)
        {
            return left;
        }

        int[] flips = [.. left._flips ?? [], .. flipsBetween ? (ReadOnlySpan<int>)[leftLength] : [], .. right._flips ?? []];
        int rightFlips = right._flips?.Length ?? 0;
        for (int i = flips.Length - rightFlips; i < flips.Length; i++)
        {
            flips[i] += leftLength;
        }

        return new Provenance(left._startsInTemplate, flips);
    }

    private int FlipsUpTo(int offset)
    {
        if (_flips is null)
        {
            return 0;
        }

        int found = Array.BinarySearch(_flips, offset);
        return found >= 0 ? found + 1 : ~found;
    }
}
