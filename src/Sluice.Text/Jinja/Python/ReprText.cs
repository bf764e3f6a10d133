using System.Globalization;
using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>A string as <c>repr()</c> writes it, in quotes and with escapes.</summary>
internal static class ReprText
{
    public static void Append(TextBuilder to, StringValue value)
    {
        string text = value.Text;
        char quote = text.Contains('\'', StringComparison.Ordinal) && !text.Contains('"', StringComparison.Ordinal) ? '"' : '\'';
        to.Append(quote, fromTemplate: false);
        int plain = 0;
        for (int at = 0; at < text.Length;)
        {
            int next = at + value.WidthAt(at);
            if (Escape(value, at, quote) is { } escape)
            {
                to.Append(value, plain, at);
                to.Append(escape, value.Provenance.IsTemplateAt(at));
                plain = next;
            }

            at = next;
        }

        to.Append(value, plain, text.Length);
        to.Append(quote, fromTemplate: false);
    }

    private static string? Escape(StringValue value, int at, char quote)
    {
        char c = value.Text[at];
        if (c is >= ' ' and < '\x7f' && c != '\\' && c != quote)
        {
            return null;
        }

        switch (c)
        {
            case '\\':
                return @"\\";
            case '\n':
                return @"\n";
            case '\r':
                return @"\r";
            case '\t':
                return @"\t";
        }

        if (c == quote)
        {
            return $"\\{quote}";
        }

        if (!Rune.TryGetRuneAt(value.Text, at, out Rune rune))
        {
            return string.Create(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
        }

        return PythonChar.IsPrintable(rune) ? null : rune.Value switch
        {
            <= 0xFF => string.Create(CultureInfo.InvariantCulture, $"\\x{rune.Value:x2}"),
            <= 0xFFFF => string.Create(CultureInfo.InvariantCulture, $"\\u{rune.Value:x4}"),
            _ => string.Create(CultureInfo.InvariantCulture, $"\\U{rune.Value:x8}"),
        };
    }
}
