using System.Buffers;
using System.Text;
using Sluice.Core;

namespace Sluice.Text.Tokenization;

/// <summary>Normalization form C as Hugging Face's library computes it: by the tables of Unicode 9, whatever ICU is installed here.</summary>
/// <remarks>
/// Unicode does not change how old characters normalize, so the two differ only over marks, and a few pairs of letters, that came
/// later. To Unicode 9 they are unassigned: inert, so the text on either side normalizes by itself. U+FFFE is inert too, and
/// <see cref="string.Normalize()"/> takes it for damage and throws.
/// </remarks>
internal static class Composition
{
    // First and last of each range. Where a whole script came after Unicode 9, its block.
    private static readonly int[] InertRanges =
    [
        0x07FD, 0x07FD, 0x0897, 0x089F, 0x08CA, 0x08D3, 0x09FE, 0x09FE, 0x0C3C, 0x0C3C, 0x0D3B, 0x0D3C, 0x0EBA, 0x0EBA, 0x1715, 0x1715,
        0x1ABF, 0x1ADD, 0x1AE0, 0x1AEB, 0x1DF6, 0x1DFA, 0xA82C, 0xA82C, 0xFFFE, 0xFFFE, 0x105C0, 0x105FF, 0x10D24, 0x10D27, 0x10D69, 0x10D6D,
        0x10EAB, 0x10EAC, 0x10EFA, 0x10EFF, 0x10F46, 0x10F50, 0x10F82, 0x10F85, 0x11070, 0x11070, 0x1133B, 0x1133B, 0x11380, 0x113FF,
        0x1145E, 0x1145E, 0x11839, 0x1183A, 0x11900, 0x1195F, 0x119E0, 0x119E0, 0x11A34, 0x11A34, 0x11A47, 0x11A47, 0x11A99, 0x11A99,
        0x11D42, 0x11D45, 0x11D97, 0x11D97, 0x11F41, 0x11F42, 0x16100, 0x1613F, 0x16D40, 0x16D7F, 0x16FF0, 0x16FF1, 0x1E08F, 0x1E08F,
        0x1E130, 0x1E136, 0x1E2AE, 0x1E2AE, 0x1E2EC, 0x1E2EF, 0x1E4EC, 0x1E4EF, 0x1E5EE, 0x1E5EF, 0x1E6E3, 0x1E6E3, 0x1E6E6, 0x1E6E6,
        0x1E6EE, 0x1E6EF, 0x1E6F5, 0x1E6F5,
    ];

    // The inert characters, astral ones by their first half: where none of these is, nothing is inert.
    private static readonly SearchValues<char> MayBeInert = SearchValues.Create(FirstChars());

    /// <summary>Composes well-formed text.</summary>
    public static string Compose(string text)
    {
        int at = text.AsSpan().IndexOfAny(MayBeInert);
        if (at < 0)
            return text.Normalize(NormalizationForm.FormC);

        var composed = new StringBuilder(text.Length);
        int done = 0;
        while (at < text.Length)
        {
            Rune rune = Rune.GetRuneAt(text, at);
            if (IsInert(rune.Value))
            {
                composed.Append(text[done..at].Normalize(NormalizationForm.FormC)).Append(text, at, rune.Utf16SequenceLength);
                done = at + rune.Utf16SequenceLength;
            }

            at += rune.Utf16SequenceLength;
        }

        return composed.Append(text[done..].Normalize(NormalizationForm.FormC)).ToString();
    }

    /// <summary>Checks that .NET can compose here: without ICU it returns text as it was and says nothing.</summary>
    /// <exception cref="TokenizerException">It cannot; the message says what to install.</exception>
    public static void RequireIcu()
    {
        if ("e\u0301".Normalize().Length != 1)
        {
            throw new TokenizerException(
                "this tokenizer needs Unicode normalization, which .NET has not got here: install ICU (libicu72 or newer on Debian and Ubuntu, "
                + "icu-libs on Alpine) and unset DOTNET_SYSTEM_GLOBALIZATION_INVARIANT and InvariantGlobalization");
        }
    }

    private static bool IsInert(int codePoint)
    {
        int at = Array.BinarySearch(InertRanges, codePoint);

        // Not itself a bound: behind a first and before a last is at an odd place.
        return at >= 0 || (~at & 1) == 1;
    }

    private static string FirstChars()
    {
        var chars = new StringBuilder();
        for (int range = 0; range < InertRanges.Length; range += 2)
        {
            for (int codePoint = InertRanges[range]; codePoint <= InertRanges[range + 1]; codePoint++)
                chars.Append(new Rune(codePoint).ToString()[0]);
        }

        return chars.ToString();
    }
}
