using System.Buffers;
using System.Globalization;
using System.Text;

namespace Sluice.Text.Tokenization;

/// <summary>What tokenizers ask of Unicode, with .NET's gaps filled.</summary>
internal static class UnicodeText
{
    private const char Replacement = '\uFFFD';

    /// <summary>Replaces each surrogate without a partner by U+FFFD; the length stays.</summary>
    public static string ReplaceLoneSurrogates(string text)
    {
        int first = text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF');
        if (first < 0)
            return text;

        char[]? repaired = null;
        for (int i = first; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i]))
                continue;
            if (i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]))
            {
                i++;
                continue;
            }

            repaired ??= text.ToCharArray();
            repaired[i] = Replacement;
        }

        return repaired is null ? text : new string(repaired);
    }

    /// <summary>The part of a range of well-formed text that leaves out a character only half in it, at either end.</summary>
    public static Range WholeCharacters(string text, Range range)
    {
        (int start, int end) = (range.Start.Value, range.End.Value);
        if (start < end && char.IsLowSurrogate(text[start]))
            start++;
        if (start < end && char.IsHighSurrogate(text[end - 1]))
            end--;
        return start..end;
    }

    /// <summary>Whether a word character ends at <paramref name="end"/>.</summary>
    public static bool WordEndsAt(ReadOnlySpan<char> text, int end) =>
        Rune.DecodeLastFromUtf16(text[..end], out Rune rune, out _) == OperationStatus.Done && IsWord(rune);

    /// <summary>Whether a word character begins at <paramref name="start"/>.</summary>
    public static bool WordStartsAt(ReadOnlySpan<char> text, int start) =>
        Rune.DecodeFromUtf16(text[start..], out Rune rune, out _) == OperationStatus.Done && IsWord(rune);

    // Unicode's \w (UTS #18, annex C): alphabetic, mark, decimal digit, connector, joiner. Alphabetic beyond letters, letter numbers
    // and marks is the circled and squared Latin letters alone.
    private static bool IsWord(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        <= UnicodeCategory.LetterNumber or UnicodeCategory.ConnectorPunctuation => true,
        UnicodeCategory.OtherSymbol => rune.Value is (>= 0x24B6 and <= 0x24E9) or (>= 0x1F130 and <= 0x1F149)
            or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189),
        _ => rune.Value is 0x200C or 0x200D,
    };
}
