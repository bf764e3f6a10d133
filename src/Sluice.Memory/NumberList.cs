using System.Globalization;

namespace Sluice.Memory;

/// <summary>Linux's way to write sets of processors and nodes: <c>0-3,8,10-11</c>.</summary>
internal static class NumberList
{
    // As many processors as kernels are built for.
    private const int End = 8192;

    /// <summary>The numbers, ascending and each once; an empty text is an empty set; null where it is no such list, or there is none.</summary>
    internal static int[]? Parse(string? text)
    {
        if (text is null)
            return null;
        ReadOnlySpan<char> list = text.AsSpan().Trim();
        if (list.IsEmpty)
            return [];
        SortedSet<int> numbers = [];
        foreach (Range part in list.Split(','))
        {
            ReadOnlySpan<char> range = list[part];
            int dash = range.IndexOf('-');
            if (!TryParse(dash < 0 ? range : range[..dash], out int first) || !TryParse(dash < 0 ? range : range[(dash + 1)..], out int last) || last < first)
                return null;
            numbers.UnionWith(Enumerable.Range(first, last - first + 1));
        }

        return [.. numbers];
    }

    private static bool TryParse(ReadOnlySpan<char> text, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number < End;
}
