using System.Text;

namespace Sluice.Text.Tests.Tokenization;

/// <summary>Text meant to hurt: every script and plane, joiners, decomposed and reordered marks, controls, noncharacters.</summary>
internal static class RandomText
{
    private static readonly string[] Parts =
    [
        "a", "B", "the", " ", "  ", "\n", "\r\n", "\t", "'s", "'RE", "\u017f", "0", "42", ".", "...", "e\u0301", "é", "a\u0323\u0307", "a\u0307\u0323",
        "한국", "\u1112\u1161\u11ab", "我们", "ひらがな", "مرحبا", "שלום", "हिन्दी", "ไทย", "😀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "𝒜𝓑", "𠀀", "𐌰", "𝟘𝟙",
        "\u200b", "\u200d", "\u202e", "\ufeff", "\0", "\u001b", "\u0085", "\u00a0", "\u3000", "\u2028", "\ufffd", "\ufffe", "\uffff", "\u212b", "\u2126",
        "\U0010FFFF", "\U000E0001", "\ud834\udd5e", "½", "Ⅷ", "ﬁ", "ß", "İ", "<|", "|>", "<think>",
    ];

    /// <summary>Up to <paramref name="maxParts"/> parts; some are random code points.</summary>
    /// <param name="random">Where the choices come from.</param>
    /// <param name="maxParts">The most parts.</param>
    /// <param name="loneSurrogates">Whether surrogates without a partner may be among them.</param>
    public static string Next(Random random, int maxParts, bool loneSurrogates = false)
    {
        var text = new StringBuilder();
        for (int parts = random.Next(maxParts + 1); parts > 0; parts--)
        {
            int kind = random.Next(10);
            if (kind == 0)
                text.Append(new Rune(random.Next(2) == 0 ? random.Next(0xD800) : random.Next(0xE000, 0x110000)));
            else if (kind == 1 && loneSurrogates)
                text.Append((char)random.Next(0xD800, 0xE000));
            else
                text.Append(Parts[random.Next(Parts.Length)]);
        }

        return text.ToString();
    }
}
