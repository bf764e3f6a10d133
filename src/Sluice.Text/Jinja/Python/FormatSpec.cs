using System.Globalization;
using System.Numerics;
using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>Python's format specification, <c>[[fill]align][sign][#][0][width][grouping][.precision][type]</c>.</summary>
internal sealed class FormatSpec
{
    private Rune Fill { get; set; } = new(' ');

    private char Align { get; set; }

    private char Sign { get; set; } = '-';

    private bool Alternate { get; set; }

    private int Width { get; set; }

    private char Grouping { get; set; }

    private int Precision { get; set; } = -1;

    private char Type { get; set; }

    /// <summary>Appends <c>format(value, spec)</c>. Padding has the origin of the format string.</summary>
    public static void Append(TextBuilder to, Value value, string spec, bool formatFromTemplate)
    {
        RenderContext c = to.Context;
        if (spec.Length == 0)
        {
            to.Append(value);
            return;
        }

        switch (value)
        {
            case StringValue text:
                Parse(c, spec).AppendString(to, text, formatFromTemplate);
                break;
            case NumberValue number:
                Parse(c, spec).AppendNumber(to, number, formatFromTemplate);
                break;
            default:
                throw c.Fail($"unsupported format string passed to {value.TypeName}.__format__");
        }
    }

    private static FormatSpec Parse(RenderContext c, string spec)
    {
        FormatSpec result = new();
        int at = 0;
        int fillWidth = spec.Length > 1 && char.IsSurrogatePair(spec[0], spec[1]) ? 2 : 1;
        bool hasFill = false;
        if (spec.Length > fillWidth && spec[fillWidth] is '<' or '>' or '=' or '^' && Rune.TryGetRuneAt(spec, 0, out Rune fill))
        {
            result.Fill = fill;
            hasFill = true;
            result.Align = spec[fillWidth];
            at = fillWidth + 1;
        }
        else if (spec[0] is '<' or '>' or '=' or '^')
        {
            result.Align = spec[0];
            at = 1;
        }

        if (at < spec.Length && spec[at] is '+' or '-' or ' ')
        {
            result.Sign = spec[at++];
        }

        if (at < spec.Length && spec[at] == '#')
        {
            result.Alternate = true;
            at++;
        }

        // A zero before the width fills with zeros, after the sign unless the alignment says otherwise.
        if (at < spec.Length && spec[at] == '0' && !hasFill)
        {
            result.Fill = new Rune('0');
            result.Align = result.Align == '\0' ? '=' : result.Align;
            at++;
        }

        result.Width = Digits(c, spec, ref at) ?? 0;
        if (at < spec.Length && spec[at] is ',' or '_')
        {
            result.Grouping = spec[at++];
        }

        if (at < spec.Length && spec[at] == '.')
        {
            at++;
            result.Precision = Digits(c, spec, ref at) ?? throw c.Fail("format specifier missing precision");
        }

        if (at < spec.Length)
        {
            result.Type = spec[at++];
        }

        return at == spec.Length ? result : throw c.Fail("invalid format specifier");
    }

    private static int? Digits(RenderContext c, string spec, ref int at)
    {
        int start = at;
        long value = 0;
        while (at < spec.Length && char.IsAsciiDigit(spec[at]))
        {
            value = (value * 10) + (spec[at++] - '0');
            if (value > int.MaxValue)
            {
                throw c.Fail("too many decimal digits in format string");
            }
        }

        return at == start ? null : (int)value;
    }

    private void AppendString(TextBuilder to, StringValue text, bool formatFromTemplate)
    {
        RenderContext c = to.Context;
        if (Type is not ('\0' or 's'))
        {
            throw c.Fail($"unknown format code '{Type}' for object of type 'str'");
        }

        // A zero before the width asks for '=' alignment, which strings ignore.
        bool isZeroPadding = Align == '=' && Fill.Value == '0';
        if (Sign != '-' || Alternate || Grouping != '\0' || (Align == '=' && !isZeroPadding))
        {
            throw c.Fail("sign, '#', ',' and '=' are not allowed in a string format specifier");
        }

        int length = text.Length(c)!.Value;
        int shown = Precision >= 0 ? Math.Min(Precision, length) : length;
        char align = Align is '\0' or '=' ? '<' : Align;
        int padding = Math.Max(Width - shown, 0);
        int before = align switch { '>' => padding, '^' => padding / 2, _ => 0 };
        Pad(to, before, formatFromTemplate);
        to.Append(text, 0, text.Advance(0, shown));
        Pad(to, padding - before, formatFromTemplate);
    }

    private void AppendNumber(TextBuilder to, NumberValue number, bool formatFromTemplate)
    {
        RenderContext c = to.Context;
        if (Type == 's')
        {
            throw c.Fail($"unknown format code 's' for object of type '{number.TypeName}'");
        }

        bool isFloat = number is FloatValue || Type is 'e' or 'E' or 'f' or 'F' or 'g' or 'G' or '%';
        (string sign, string prefix, string digits) = isFloat ? Float(c, number.ToDouble()) : Integer(c, PythonNumber.ToInteger(number));
        char align = Align == '\0' ? '>' : Align;
        bool zeroFill = align == '=' && Fill.Value == '0';
        int minimum = zeroFill ? Width - sign.Length - prefix.Length : 0;
        digits = Grouped(c, digits, minimum);

        string head = sign + prefix;
        int padding = Math.Max(Width - head.Length - digits.Length, 0);
        int before = align switch { '>' => padding, '^' => padding / 2, _ => 0 };
        int inside = align == '=' ? padding : 0;
        bool fromTemplate = !number.FromInput;
        Pad(to, before, formatFromTemplate);
        to.Append(head, fromTemplate);
        Pad(to, inside, formatFromTemplate);
        to.Append(digits, fromTemplate);
        Pad(to, padding - before - inside, formatFromTemplate);
    }

    private void Pad(TextBuilder to, int count, bool fromTemplate)
    {
        if (Fill.IsBmp)
        {
            to.Append((char)Fill.Value, fromTemplate, count);
            return;
        }

        for (int i = 0; i < count; i++)
        {
            to.Append(Fill.ToString(), fromTemplate);
        }
    }

    private (string Sign, string Prefix, string Digits) Integer(RenderContext c, BigInteger value)
    {
        if (Precision >= 0)
        {
            throw c.Fail("precision not allowed in integer format specifier");
        }

        if (Type == 'c')
        {
            bool isCharacter = value >= 0 && value <= 0x10FFFF && Rune.IsValid((int)value);
            return isCharacter ? ("", "", new Rune((int)value).ToString()) : throw c.Fail("%c arg not in range(0x110000)");
        }

        c.SpendOnDigits(value);
        BigInteger magnitude = BigInteger.Abs(value);
        (string prefix, string digits) = Type switch
        {
            'x' => ("0x", InBase(magnitude, 16)),
            'X' => ("0X", InBase(magnitude, 16).ToUpperInvariant()),
            'o' => ("0o", InBase(magnitude, 8)),
            'b' => ("0b", InBase(magnitude, 2)),
            '\0' or 'd' or 'n' => ("", magnitude.ToString(CultureInfo.InvariantCulture)),
            _ => throw c.Fail($"unknown format code '{Type}' for object of type 'int'"),
        };
        return (SignOf(value.Sign < 0), Alternate ? prefix : "", digits);
    }

    /// <summary>The digits of a non-negative integer in base 2, 8 or 16, in lower case.</summary>
    public static string InBase(BigInteger value, int radix)
    {
        string binary = value.ToString("B", CultureInfo.InvariantCulture).TrimStart('0');
        if (binary.Length == 0)
        {
            return "0";
        }

        int bits = BitOperations.Log2((uint)radix);
        if (bits == 1)
        {
            return binary;
        }

        binary = binary.PadLeft((binary.Length + bits - 1) / bits * bits, '0');
        StringBuilder digits = new();
        for (int i = 0; i < binary.Length; i += bits)
        {
            int digit = 0;
            foreach (char bit in binary.AsSpan(i, bits))
            {
                digit = (digit * 2) + (bit - '0');
            }

            digits.Append("0123456789abcdef"[digit]);
        }

        return digits.ToString();
    }

    private (string Sign, string Prefix, string Digits) Float(RenderContext c, double value)
    {
        if (Type is not ('\0' or 'e' or 'E' or 'f' or 'F' or 'g' or 'G' or 'n' or '%'))
        {
            throw c.Fail($"unknown format code '{Type}' for object of type 'float'");
        }

        bool isNegative = double.IsNegative(value) && !double.IsNaN(value);
        double magnitude = Math.Abs(value);
        c.SpendOnDecimals(Precision);
        string digits = Type switch
        {
            '\0' when Precision < 0 => FloatText.Repr(magnitude),
            '\0' => WithDecimal(FloatText.Format(magnitude, 'g', Precision, Alternate)),
            '%' => FloatText.Format(magnitude * 100, 'f', Precision < 0 ? 6 : Precision, Alternate) + "%",
            'n' => FloatText.Format(magnitude, 'g', Precision < 0 ? 6 : Precision, Alternate),
            _ => FloatText.Format(magnitude, char.ToLowerInvariant(Type), Precision < 0 ? 6 : Precision, Alternate),
        };
        return (SignOf(isNegative), "", char.IsUpper(Type) ? digits.ToUpperInvariant() : digits);
    }

    // Without a type, a float with a precision still shows that it is one.
    private static string WithDecimal(string text) => text.AsSpan().IndexOfAny(".en") >= 0 ? text : text + ".0";

    private string SignOf(bool isNegative) => isNegative ? "-" : Sign is '+' or ' ' ? Sign.ToString() : "";

    /// <summary>Separators between groups of digits, and zeros up to <paramref name="minimum"/> characters grouped with them.</summary>
    private string Grouped(RenderContext c, string digits, int minimum)
    {
        if (Grouping == '\0')
        {
            return digits;
        }

        bool isHexadecimal = Type is 'x' or 'X';
        int size = isHexadecimal || Type is 'o' or 'b' ? 4 : 3;
        int whole = isHexadecimal ? -1 : digits.AsSpan().IndexOfAnyExceptInRange('0', '9');
        whole = whole < 0 ? digits.Length : whole;
        string rest = digits[whole..];
        c.Allocate(64L * Math.Max(minimum, 0));
        StringBuilder grouped = new();
        int count = 0;
        for (int i = whole - 1; i >= 0 || grouped.Length + rest.Length < minimum; i--)
        {
            if (count > 0 && count % size == 0)
            {
                grouped.Append(Grouping);
                if (i < 0 && grouped.Length + rest.Length >= minimum)
                {
                    grouped.Append('0');
                    break;
                }
            }

            grouped.Append(i >= 0 ? digits[i] : '0');
            count++;
        }

        char[] reversed = grouped.ToString().ToCharArray();
        Array.Reverse(reversed);
        return new string(reversed) + rest;
    }
}
