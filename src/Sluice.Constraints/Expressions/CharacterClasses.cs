using System.Collections.Concurrent;
using System.Globalization;
using Sluice.Constraints.Automata;

namespace Sluice.Constraints.Expressions;

/// <summary>The named sets of ECMAScript's regular expressions.</summary>
internal static class CharacterClasses
{
    private static readonly ConcurrentDictionary<string, CodePointSet?> Categories = new(StringComparer.Ordinal);

    public static CodePointSet Digit { get; } = CodePointSet.Of(('0', '9'));

    public static CodePointSet Word { get; } = CodePointSet.Of(('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_'));

    /// <summary>WhiteSpace and LineTerminator of ECMA-262, section 12.</summary>
    public static CodePointSet Space { get; } = CodePointSet.Of(
        ('\t', '\r'), (' ', ' '), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
        (0xFEFF, 0xFEFF));

    /// <summary>What a dot matches.</summary>
    public static CodePointSet NotLineEnd { get; } = CodePointSet.Of(('\n', '\n'), ('\r', '\r'), (0x2028, 0x2029)).Complement();

    /// <summary>A general category, such as L or Lu; null for other names.</summary>
    public static CodePointSet? Category(string name)
    {
        if (name.Length is < 1 or > 2)
            return null;
        return Categories.GetOrAdd(name, Build);
    }

    private static CodePointSet? Build(string name)
    {
        var ranges = new List<(int, int)>();
        for (int value = 0; value <= 0x10FFFF; value++)
        {
            if (value is >= 0xD800 and <= 0xDFFF || !Code(CharUnicodeInfo.GetUnicodeCategory(value)).StartsWith(name, StringComparison.Ordinal))
                continue;
            if (ranges.Count > 0 && ranges[^1] is var (first, last) && last == value - 1)
                ranges[^1] = (first, value);
            else
                ranges.Add((value, value));
        }

        return ranges.Count == 0 ? null : CodePointSet.Of(ranges);
    }

    private static string Code(UnicodeCategory category) => category switch
    {
        UnicodeCategory.UppercaseLetter => "Lu",
        UnicodeCategory.LowercaseLetter => "Ll",
        UnicodeCategory.TitlecaseLetter => "Lt",
        UnicodeCategory.ModifierLetter => "Lm",
        UnicodeCategory.OtherLetter => "Lo",
        UnicodeCategory.NonSpacingMark => "Mn",
        UnicodeCategory.SpacingCombiningMark => "Mc",
        UnicodeCategory.EnclosingMark => "Me",
        UnicodeCategory.DecimalDigitNumber => "Nd",
        UnicodeCategory.LetterNumber => "Nl",
        UnicodeCategory.OtherNumber => "No",
        UnicodeCategory.SpaceSeparator => "Zs",
        UnicodeCategory.LineSeparator => "Zl",
        UnicodeCategory.ParagraphSeparator => "Zp",
        UnicodeCategory.Control => "Cc",
        UnicodeCategory.Format => "Cf",
        UnicodeCategory.Surrogate => "Cs",
        UnicodeCategory.PrivateUse => "Co",
        UnicodeCategory.ConnectorPunctuation => "Pc",
        UnicodeCategory.DashPunctuation => "Pd",
        UnicodeCategory.OpenPunctuation => "Ps",
        UnicodeCategory.ClosePunctuation => "Pe",
        UnicodeCategory.InitialQuotePunctuation => "Pi",
        UnicodeCategory.FinalQuotePunctuation => "Pf",
        UnicodeCategory.OtherPunctuation => "Po",
        UnicodeCategory.MathSymbol => "Sm",
        UnicodeCategory.CurrencySymbol => "Sc",
        UnicodeCategory.ModifierSymbol => "Sk",
        UnicodeCategory.OtherSymbol => "So",
        _ => "Cn",
    };
}
