using System.Globalization;
using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>Which characters Python takes for spaces, letters, digits and line ends.</summary>
internal static class PythonChar
{
    // Ideographs that write numbers have a numeric value in Unicode's Unihan data, which .NET leaves out.
    private const string NumericIdeographs =
        "㐅㒃㠪㭍一七万三九二五亖亿什仟仨伍佰億兆兩八六十千卄卅卌叁参參叄四壱壹幺廾廿弌弍弎弐拾捌柒漆玖百肆萬貮貳贰阡陆陌陸零" +
        "\uf96b\uf973\uf978\uf9b2\uf9d1\uf9d3\uf9fd𠀁𠁤𠃢𠄡𠤪𠦃𠦌𠦜𠫪𠫽𠬙𢎐𢦘𣬛𦉭\U0002f890";

    /// <summary>Whether <c>str.isspace()</c> holds: .NET's white space and the four ASCII separators.</summary>
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    /// <summary>Whether <c>str.splitlines()</c> ends a line at <paramref name="c"/>.</summary>
    public static bool IsLineBreak(char c) => c is (>= '\n' and <= '\r') or (>= '\x1c' and <= '\x1e') or '\x85' or '\u2028' or '\u2029';

    public static bool IsLetter(Rune c) => Rune.IsLetter(c);

    public static bool IsDecimal(Rune c) => Rune.GetUnicodeCategory(c) == UnicodeCategory.DecimalDigitNumber;

    public static bool IsDigit(Rune c) => CharUnicodeInfo.GetDigitValue(c.ToString(), 0) >= 0;

    public static bool IsNumeric(Rune c) => Rune.GetUnicodeCategory(c) is
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber ||
        NumericIdeographs.Contains(c.ToString(), StringComparison.Ordinal);

    public static bool IsAlphanumeric(Rune c) => IsLetter(c) || IsNumeric(c);

    // Beyond the category: Unicode's property Other_Uppercase, and Other_Lowercase below.
    public static bool IsUpper(Rune c) => Rune.GetUnicodeCategory(c) == UnicodeCategory.UppercaseLetter || c.Value is
        (>= 0x2160 and <= 0x216F) or (>= 0x24B6 and <= 0x24CF) or
        (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189);

    public static bool IsLower(Rune c) => Rune.GetUnicodeCategory(c) == UnicodeCategory.LowercaseLetter || c.Value is
        0xAA or 0xBA or (>= 0x2B0 and <= 0x2B8) or (>= 0x2C0 and <= 0x2C1) or (>= 0x2E0 and <= 0x2E4) or 0x345 or 0x37A or
        (>= 0x1D2C and <= 0x1D6A) or 0x1D78 or (>= 0x1D9B and <= 0x1DBF) or 0x2071 or 0x207F or (>= 0x2090 and <= 0x209C) or
        (>= 0x2170 and <= 0x217F) or (>= 0x24D0 and <= 0x24E9) or (>= 0x2C7C and <= 0x2C7D) or (>= 0xA69C and <= 0xA69D) or
        0xA770 or (>= 0xA7F8 and <= 0xA7F9) or (>= 0xAB5C and <= 0xAB5F) or 0x10780 or (>= 0x10783 and <= 0x10785) or
        (>= 0x10787 and <= 0x107B0) or (>= 0x107B2 and <= 0x107BA);

    public static bool IsTitle(Rune c) => Rune.GetUnicodeCategory(c) == UnicodeCategory.TitlecaseLetter;

    public static bool IsCased(Rune c) => IsUpper(c) || IsLower(c) || IsTitle(c);

    /// <summary>Whether <c>repr()</c> shows the character itself rather than an escape.</summary>
    public static bool IsPrintable(Rune c) => c.Value == ' ' || Rune.GetUnicodeCategory(c) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or
        UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or
        UnicodeCategory.SpaceSeparator);
}
