using System.Collections.Frozen;
using System.Globalization;
using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>
/// Upper, lower and title case as Python maps them: Unicode's full mappings, where one character may become several. .NET has the
/// simple ones; what differs is in a table from Unicode's SpecialCasing.txt.
/// </summary>
internal static class CaseMapping
{
    // code:upper:title, in hexadecimal, several characters joined by dots.
    private const string Special = """
        00DF:0053.0053:0053.0073 0131:0049:0049 0149:02BC.004E:02BC.004E 01C4:01C4:01C5 01C5:01C4:01C5 01C6:01C4:01C5
        01C7:01C7:01C8 01C8:01C7:01C8 01C9:01C7:01C8 01CA:01CA:01CB 01CB:01CA:01CB 01CC:01CA:01CB
        01F0:004A.030C:004A.030C 01F1:01F1:01F2 01F2:01F1:01F2 01F3:01F1:01F2 0390:0399.0308.0301:0399.0308.0301
        03B0:03A5.0308.0301:03A5.0308.0301 0587:0535.0552:0535.0582 1E96:0048.0331:0048.0331 1E97:0054.0308:0054.0308
        1E98:0057.030A:0057.030A 1E99:0059.030A:0059.030A 1E9A:0041.02BE:0041.02BE 1F50:03A5.0313:03A5.0313
        1F52:03A5.0313.0300:03A5.0313.0300 1F54:03A5.0313.0301:03A5.0313.0301 1F56:03A5.0313.0342:03A5.0313.0342
        1F80:1F08.0399:1F88 1F81:1F09.0399:1F89 1F82:1F0A.0399:1F8A 1F83:1F0B.0399:1F8B 1F84:1F0C.0399:1F8C
        1F85:1F0D.0399:1F8D 1F86:1F0E.0399:1F8E 1F87:1F0F.0399:1F8F 1F88:1F08.0399:1F88 1F89:1F09.0399:1F89
        1F8A:1F0A.0399:1F8A 1F8B:1F0B.0399:1F8B 1F8C:1F0C.0399:1F8C 1F8D:1F0D.0399:1F8D 1F8E:1F0E.0399:1F8E
        1F8F:1F0F.0399:1F8F 1F90:1F28.0399:1F98 1F91:1F29.0399:1F99 1F92:1F2A.0399:1F9A 1F93:1F2B.0399:1F9B
        1F94:1F2C.0399:1F9C 1F95:1F2D.0399:1F9D 1F96:1F2E.0399:1F9E 1F97:1F2F.0399:1F9F 1F98:1F28.0399:1F98
        1F99:1F29.0399:1F99 1F9A:1F2A.0399:1F9A 1F9B:1F2B.0399:1F9B 1F9C:1F2C.0399:1F9C 1F9D:1F2D.0399:1F9D
        1F9E:1F2E.0399:1F9E 1F9F:1F2F.0399:1F9F 1FA0:1F68.0399:1FA8 1FA1:1F69.0399:1FA9 1FA2:1F6A.0399:1FAA
        1FA3:1F6B.0399:1FAB 1FA4:1F6C.0399:1FAC 1FA5:1F6D.0399:1FAD 1FA6:1F6E.0399:1FAE 1FA7:1F6F.0399:1FAF
        1FA8:1F68.0399:1FA8 1FA9:1F69.0399:1FA9 1FAA:1F6A.0399:1FAA 1FAB:1F6B.0399:1FAB 1FAC:1F6C.0399:1FAC
        1FAD:1F6D.0399:1FAD 1FAE:1F6E.0399:1FAE 1FAF:1F6F.0399:1FAF 1FB2:1FBA.0399:1FBA.0345 1FB3:0391.0399:1FBC
        1FB4:0386.0399:0386.0345 1FB6:0391.0342:0391.0342 1FB7:0391.0342.0399:0391.0342.0345 1FBC:0391.0399:1FBC
        1FC2:1FCA.0399:1FCA.0345 1FC3:0397.0399:1FCC 1FC4:0389.0399:0389.0345 1FC6:0397.0342:0397.0342
        1FC7:0397.0342.0399:0397.0342.0345 1FCC:0397.0399:1FCC 1FD2:0399.0308.0300:0399.0308.0300
        1FD3:0399.0308.0301:0399.0308.0301 1FD6:0399.0342:0399.0342 1FD7:0399.0308.0342:0399.0308.0342
        1FE2:03A5.0308.0300:03A5.0308.0300 1FE3:03A5.0308.0301:03A5.0308.0301 1FE4:03A1.0313:03A1.0313
        1FE6:03A5.0342:03A5.0342 1FE7:03A5.0308.0342:03A5.0308.0342 1FF2:1FFA.0399:1FFA.0345 1FF3:03A9.0399:1FFC
        1FF4:038F.0399:038F.0345 1FF6:03A9.0342:03A9.0342 1FF7:03A9.0342.0399:03A9.0342.0345 1FFC:03A9.0399:1FFC
        FB00:0046.0046:0046.0066 FB01:0046.0049:0046.0069 FB02:0046.004C:0046.006C FB03:0046.0046.0049:0046.0066.0069
        FB04:0046.0046.004C:0046.0066.006C FB05:0053.0054:0053.0074 FB06:0053.0054:0053.0074 FB13:0544.0546:0544.0576
        FB14:0544.0535:0544.0565 FB15:0544.053B:0544.056B FB16:054E.0546:054E.0576 FB17:0544.053D:0544.056D
        """;

    private static readonly FrozenDictionary<int, (string Upper, string Title)> SpecialCases = Special
        .Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries)
        .Select(static entry => entry.Split(':'))
        .ToFrozenDictionary(static e => Code(e[0]), static e => (Characters(e[1]), Characters(e[2])));

    public static StringValue Upper(RenderContext c, StringValue text) => Ascii.IsValid(text.Text)
        ? OfAscii(c, text, text.Text.ToUpperInvariant())
        : Map(c, text, static (rune, _, _) => Upper(rune));

    public static StringValue Lower(RenderContext c, StringValue text) => Ascii.IsValid(text.Text)
        ? OfAscii(c, text, text.Text.ToLowerInvariant())
        : Map(c, text, Lower);

    /// <summary><c>str.capitalize()</c>: the first character in title case, the others in lower case.</summary>
    public static StringValue Capitalize(RenderContext c, StringValue text) =>
        Map(c, text, static (rune, source, at) => at == 0 ? Title(rune) : Lower(rune, source, at));

    /// <summary><c>str.title()</c>: a letter after anything but a letter in title case, the others in lower case.</summary>
    public static StringValue Title(RenderContext c, StringValue text)
    {
        bool inWord = false;
        return Map(c, text, (rune, source, at) =>
        {
            string mapped = inWord ? Lower(rune, source, at) : Title(rune);
            inWord = PythonChar.IsCased(rune);
            return mapped;
        });
    }

    public static StringValue SwapCase(RenderContext c, StringValue text) => Map(c, text, static (rune, source, at) =>
        PythonChar.IsUpper(rune) ? Lower(rune, source, at) : PythonChar.IsLower(rune) ? Upper(rune) : rune.ToString());

    /// <summary>The <c>title</c> filter, whose words begin after spaces, hyphens and opening brackets.</summary>
    public static StringValue TitleWords(RenderContext c, StringValue text)
    {
        bool atStart = true;
        return Map(c, text, (rune, source, at) =>
        {
            bool isBoundary = rune.IsBmp && (PythonChar.IsSpace((char)rune.Value) || rune.Value is '-' or '(' or '{' or '[' or '<');
            string mapped = isBoundary ? rune.ToString() : atStart ? Upper(rune) : Lower(rune, source, at);
            atStart = isBoundary;
            return mapped;
        });
    }

    public static string Upper(Rune rune) =>
        SpecialCases.TryGetValue(rune.Value, out var special) ? special.Upper : Rune.ToUpperInvariant(rune).ToString();

    public static string Lower(Rune rune, string text, int at) => rune.Value switch
    {
        'İ' => "i\u0307",
        'Σ' => IsFinalSigma(text, at) ? "ς" : "σ",
        _ => Rune.ToLowerInvariant(rune).ToString(),
    };

    private static string Title(Rune rune)
    {
        if (SpecialCases.TryGetValue(rune.Value, out var special))
        {
            return special.Title;
        }

        // Georgian has capitals, but no title case.
        return rune.Value is >= 0x10D0 and <= 0x10FF ? rune.ToString() : Rune.ToUpperInvariant(rune).ToString();
    }

    // Sigma ends a word when a letter comes before it and none after, accents and the like not counting.
    private static bool IsFinalSigma(string text, int at)
    {
        int before = at - 1;
        while (before >= 0 && IsIgnorable(text, before))
        {
            before--;
        }

        if (before > 0 && char.IsLowSurrogate(text[before]))
        {
            before--;
        }

        int after = at + 1;
        while (after < text.Length && IsIgnorable(text, after))
        {
            after++;
        }

        return before >= 0 && IsCasedAt(text, before) && !(after < text.Length && IsCasedAt(text, after));
    }

    private static bool IsCasedAt(string text, int at) => Rune.TryGetRuneAt(text, at, out Rune rune) && PythonChar.IsCased(rune);

    private static bool IsIgnorable(string text, int at) =>
        text[at] is '\'' or '.' or ':' or '·' or '‘' or '’' or '․' || CharUnicodeInfo.GetUnicodeCategory(text, at) is
            UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark or UnicodeCategory.Format or
            UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol;

    private static StringValue OfAscii(RenderContext c, StringValue text, string mapped)
    {
        c.AllocateObject((long)mapped.Length * sizeof(char));
        return new StringValue(mapped, text.Provenance, text.IsMarkup);
    }

    private static StringValue Map(RenderContext c, StringValue text, Func<Rune, string, int, string> map)
    {
        TextBuilder mapped = c.NewText();
        string source = text.Text;
        c.Spend(source.Length);
        for (int at = 0; at < source.Length; at += text.WidthAt(at))
        {
            bool fromTemplate = text.Provenance.IsTemplateAt(at);
            if (Rune.TryGetRuneAt(source, at, out Rune rune))
            {
                mapped.Append(map(rune, source, at), fromTemplate);
            }
            else
            {
                mapped.Append(source[at], fromTemplate);
            }
        }

        return mapped.ToValue(text.IsMarkup);
    }

    private static string Characters(string codes) =>
        string.Concat(codes.Split('.').Select(static code => (char)Code(code)));

    private static int Code(string hexadecimal) => int.Parse(hexadecimal, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
