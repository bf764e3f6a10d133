using System.Globalization;
using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>Python's escapes inside a quoted string.</summary>
internal static class StringLiteral
{
    /// <summary>
    /// The characters <paramref name="body"/> stands for. An escape Python does not know stays as written, backslash included.
    /// </summary>
    public static string Unescape(ReadOnlySpan<char> body, out string? problem)
    {
        problem = null;
        if (!body.Contains('\\'))
        {
            return body.ToString();
        }

        StringBuilder text = new(body.Length);
        for (int i = 0; i < body.Length; i++)
        {
            if (body[i] != '\\')
            {
                text.Append(body[i]);
                continue;
            }

            if (++i == body.Length)
            {
                problem = "a string ends in the middle of an escape";
                return "";
            }

            switch (body[i])
            {
                case '\n':
                    break;
                case 'n':
                    text.Append('\n');
                    break;
                case 't':
                    text.Append('\t');
                    break;
                case 'r':
                    text.Append('\r');
                    break;
                case 'a':
                    text.Append('\a');
                    break;
                case 'b':
                    text.Append('\b');
                    break;
                case 'f':
                    text.Append('\f');
                    break;
                case 'v':
                    text.Append('\v');
                    break;
                case '\\' or '\'' or '"':
                    text.Append(body[i]);
                    break;
                case >= '0' and <= '7':
                    text.Append(Octal(body, ref i));
                    break;
                case 'x' or 'u' or 'U':
                    if (!TryHexadecimal(body, ref i, text))
                    {
                        problem = "truncated or invalid \\x, \\u or \\U escape in a string";
                        return "";
                    }

                    break;
                case 'N':
                    problem = "\\N{name} escapes are not supported; write \\uXXXX";
                    return "";
                default:
                    text.Append('\\').Append(body[i]);
                    break;
            }
        }

        return text.ToString();
    }

    private static char Octal(ReadOnlySpan<char> body, ref int i)
    {
        int value = 0;
        int end = Math.Min(i + 3, body.Length);
        int at = i;
        while (at < end && body[at] is >= '0' and <= '7')
        {
            value = (value * 8) + (body[at++] - '0');
        }

        i = at - 1;
        return (char)value;
    }

    private static bool TryHexadecimal(ReadOnlySpan<char> body, ref int i, StringBuilder text)
    {
        int length = body[i] switch { 'x' => 2, 'u' => 4, _ => 8 };
        if (i + length >= body.Length ||
            !int.TryParse(body.Slice(i + 1, length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int code) ||
            code is < 0 or > 0x10FFFF)
        {
            return false;
        }

        i += length;
        if (code > char.MaxValue)
        {
            text.Append(new Rune(code).ToString());
        }
        else
        {
            text.Append((char)code);
        }

        return true;
    }
}
