namespace Sluice.Text.Jinja;

/// <summary>
/// Finding one text in another, in time proportional to their lengths whatever they are. Short needles use .NET's vectorised
/// search; long ones, where that is quadratic at worst, Knuth-Morris-Pratt.
/// </summary>
internal sealed class TextSearch(RenderContext c, string needle)
{
    private const int LongNeedle = 16;

    private int[]? _forward;
    private int[]? _backward;

    /// <summary>The first offset at or after <paramref name="start"/> where the needle is; -1 when there is none.</summary>
    public int IndexIn(string text, int start)
    {
        int found = needle.Length <= LongNeedle
            ? text.AsSpan(start).IndexOf(needle, StringComparison.Ordinal)
            : Scan(text, start, text.Length, isForward: true);
        c.Spend(1);
        c.SpendOnText(found < 0 ? text.Length - start : found + needle.Length);
        return found < 0 ? -1 : start + found;
    }

    /// <summary>The last offset where the needle is and ends no later than <paramref name="end"/>; -1 when there is none.</summary>
    public int LastIndexIn(string text, int end)
    {
        int found = needle.Length <= LongNeedle
            ? text.AsSpan(0, end).LastIndexOf(needle, StringComparison.Ordinal)
            : Scan(text, 0, end, isForward: false);
        c.Spend(1);
        c.SpendOnText(found < 0 ? end : end - found);
        return found;
    }

    // The offset from start of the first match, or of the last when scanning backwards.
    private int Scan(string text, int start, int end, bool isForward)
    {
        int[] table = isForward ? _forward ??= Table(true) : _backward ??= Table(false);
        int matched = 0;
        for (int i = 0; i < end - start; i++)
        {
            char next = isForward ? text[start + i] : text[end - 1 - i];
            while (matched > 0 && At(matched, isForward) != next)
            {
                matched = table[matched - 1];
            }

            if (At(matched, isForward) == next)
            {
                matched++;
            }

            if (matched == needle.Length)
            {
                return isForward ? i + 1 - matched : end - start - i - 1;
            }
        }

        return -1;
    }

    private char At(int index, bool isForward) => isForward ? needle[index] : needle[needle.Length - 1 - index];

    // For each prefix of the needle, the longest of its proper prefixes that is also its suffix.
    private int[] Table(bool isForward)
    {
        c.AllocateObject((long)needle.Length * sizeof(int));
        int[] table = new int[needle.Length];
        int matched = 0;
        for (int i = 1; i < table.Length; i++)
        {
            char next = At(i, isForward);
            while (matched > 0 && At(matched, isForward) != next)
            {
                matched = table[matched - 1];
            }

            if (At(matched, isForward) == next)
            {
                matched++;
            }

            table[i] = matched;
        }

        return table;
    }
}
