using System.Globalization;

namespace Sluice.Text.Tokenization;

/// <summary>
/// Text in which every character outside the basic plane, two chars in .NET, is replaced by one char of the same general category.
/// </summary>
/// <remarks>
/// Split patterns are written for whole characters: an emoji followed by a letter matches <c>[^\p{L}]?\p{L}+</c>, mathematical
/// letters are <c>\p{L}</c>. .NET matches UTF-16 units and would see two surrogates that are neither. Patterns ask nothing of an
/// astral character but its category, so the shadow splits exactly where the text does; pieces are measured off in characters.
/// </remarks>
internal static class AstralShadow
{
    // By UnicodeCategory; \0 where no astral character has the category. Obscure, so that patterns do not name them.
    private const string StandIns =
        "\uA640\uA641\0\uA717\uA000" // Lu Ll Lt Lm Lo
        + "\uA66F\uA823\0\uA620\uA6E6\uA830" // Mn Mc Me Nd Nl No
        + "\0\0\0" // Zs Zl Zp
        + "\0\u2063\0\uE000" // Cc Cf Cs Co
        + "\0\uFE58\0\0\0\0\uA673" // Pc Pd Ps Pe Pi Pf Po
        + "\uFE62\uA838\uA700\uA828\uFFFE"; // Sm Sc Sk So Cn

    /// <summary>Whether text has astral characters at all. Most has none and is its own shadow.</summary>
    public static bool IsNeeded(ReadOnlySpan<char> text) => text.ContainsAnyInRange('\uD800', '\uDFFF');

    /// <summary>Writes the shadow of well-formed text; <paramref name="shadow"/> is as long as the text. Returns the shadow's length.</summary>
    public static int Write(ReadOnlySpan<char> text, Span<char> shadow)
    {
        int length = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (!char.IsHighSurrogate(text[i]))
                shadow[length++] = text[i];
            else
                shadow[length++] = StandInFor(CharUnicodeInfo.GetUnicodeCategory(char.ConvertToUtf32(text[i], text[++i])));
        }

        return length;
    }

    /// <summary>The char that stands for astral characters of a category.</summary>
    public static char StandInFor(UnicodeCategory category) => StandIns[(int)category];

    /// <summary>How many chars of <paramref name="text"/> make up its first <paramref name="characters"/> characters.</summary>
    public static int Measure(ReadOnlySpan<char> text, int characters)
    {
        int length = 0;
        for (; characters > 0; characters--)
            length += char.IsHighSurrogate(text[length]) ? 2 : 1;
        return length;
    }

    /// <summary>Whether a range of characters named in a pattern includes a stand-in, which would then match what it stands for.</summary>
    public static bool MeetsStandIn(char low, char high)
    {
        foreach (char standIn in StandIns)
        {
            if (standIn != '\0' && standIn >= low && standIn <= high)
                return true;
        }

        return false;
    }
}
