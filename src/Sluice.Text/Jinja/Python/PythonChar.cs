using System.Globalization;
using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>Which characters Python takes for spaces, letters, digits and line ends.</summary>
internal static class PythonChar
{
    /// <summary>Whether <c>str.isspace()</c> holds: .NET's white space and the four ASCII separators.</summary>
    public static bool IsSpace(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    /// <summary>Whether <c>str.splitlines()</c> ends a line at <paramref name="c"/>.</summary>
    public static bool IsLineBreak(char c) => c is (>= '\n' and <= '\r') or (>= '\x1c' and <= '\x1e') or '\x85' or '\u2028' or '\u2029';

    public static bool IsLetter(Rune c) => Rune.IsLetter(c);

    public static bool IsDecimal(Rune c) => Rune.GetUnicodeCategory(c) == UnicodeCategory.DecimalDigitNumber;

    public static bool IsDigit(Rune c) => CharUnicodeInfo.GetDigitValue(c.ToString(), 0) >= 0;

    public static bool IsNumeric(Rune c) => CharUnicodeInfo.GetNumericValue(c.ToString(), 0) >= 0 || IsNumericIdeograph(c.Value);

    public static bool IsAlphanumeric(Rune c) => IsLetter(c) || IsDecimal(c) || IsDigit(c) || IsNumeric(c);

    public static bool IsUpper(Rune c) =>
        Rune.GetUnicodeCategory(c) == UnicodeCategory.UppercaseLetter || c.Value is (>= 0x2160 and <= 0x216F) or (>= 0x24B6 and <= 0x24CF);

    public static bool IsLower(Rune c) =>
        Rune.GetUnicodeCategory(c) == UnicodeCategory.LowercaseLetter ||
        c.Value is 0xAA or 0xBA or (>= 0x2B0 and <= 0x2B8) or 0x2C0 or 0x2C1 or (>= 0x2E0 and <= 0x2E4) or 0x345 or 0x37A or
            (>= 0x1D2C and <= 0x1D6A) or 0x1D78 or (>= 0x1D9B and <= 0x1DBF) or 0x2071 or 0x207F or (>= 0x2090 and <= 0x209C) or
            (>= 0x2170 and <= 0x217F) or (>= 0x24D0 and <= 0x24E9);

    public static bool IsTitle(Rune c) => Rune.GetUnicodeCategory(c) == UnicodeCategory.TitlecaseLetter;

    public static bool IsCased(Rune c) => IsUpper(c) || IsLower(c) || IsTitle(c);

    /// <summary>Whether <c>repr()</c> shows the character itself rather than an escape.</summary>
    public static bool IsPrintable(Rune c) => c.Value == ' ' || Rune.GetUnicodeCategory(c) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or
        UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or
        UnicodeCategory.SpaceSeparator);

    // Ideographs that write numbers carry a value in Unicode's Unihan data, which .NET leaves out.
    private static bool IsNumericIdeograph(int c) => c is
        0x4E00 or 0x4E8C or 0x4E09 or 0x56DB or 0x4E94 or 0x516D or 0x4E03 or 0x516B or 0x4E5D or 0x5341 or 0x767E or 0x5343 or 0x842C or
        0x4E07 or 0x4EBF or 0x5104 or 0x5146 or 0x3007 or 0x58F1 or 0x8D30 or 0x53C1 or 0x8086 or 0x4F0D or 0x9678 or 0x67D2 or 0x634C or
        0x7396 or 0x62FE or 0x4F70 or 0x4EDF;
}
