using System.Globalization;
using System.Numerics;
using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>How Python reads numbers from text, and converts between integers and floats.</summary>
internal static class PythonNumber
{
    /// <summary>The integer that digits write; null when it takes more than <paramref name="maximumBits"/> bits.</summary>
    public static BigInteger? ParseDigits(ReadOnlySpan<char> digits, int radix, int maximumBits)
    {
        digits = digits.TrimStart('0');
        if ((digits.Length - 1) * Math.Log2(radix) > maximumBits)
        {
            return null;
        }

        BigInteger value = BigInteger.Zero;
        if (radix == 10)
        {
            value = digits.IsEmpty ? value : BigInteger.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture);
        }
        else
        {
            foreach (char digit in digits)
            {
                value = (value * radix) + DigitValue(digit);
            }
        }

        return value.GetBitLength() <= maximumBits ? value : null;
    }

    /// <summary>What <c>int(text, radix)</c> gives; null where Python raises.</summary>
    public static BigInteger? ParseInteger(string text, int radix, int maximumBits)
    {
        ReadOnlySpan<char> rest = Plain(text);
        bool isNegative = rest.StartsWith('-');
        if (isNegative || rest.StartsWith('+'))
        {
            rest = rest[1..];
        }

        int prefixed = rest.Length > 2 && rest[0] == '0' ? RadixOf(rest[1]) : 0;
        if (prefixed != 0 && (radix == prefixed || radix == 0))
        {
            rest = rest[2] == '_' ? rest[3..] : rest[2..];
            radix = prefixed;
        }
        else if (radix == 0)
        {
            radix = 10;
            if (rest.StartsWith('0') && rest.TrimStart("0_").Length > 0)
            {
                return null;
            }
        }

        if (radix is < 2 or > 36 || !TryDropUnderscores(rest, out string digits))
        {
            return null;
        }

        foreach (char digit in digits)
        {
            if (DigitValue(digit) >= radix)
            {
                return null;
            }
        }

        BigInteger? value = ParseDigits(digits, radix, maximumBits);
        return isNegative ? -value : value;
    }

    /// <summary>What <c>float(text)</c> gives; null where Python raises.</summary>
    public static double? ParseFloat(string text)
    {
        ReadOnlySpan<char> rest = Plain(text);
        ReadOnlySpan<char> unsigned = rest.Length > 0 && rest[0] is '+' or '-' ? rest[1..] : rest;
        double sign = rest.StartsWith('-') ? -1 : 1;
        if (unsigned.Equals("inf", StringComparison.OrdinalIgnoreCase) || unsigned.Equals("infinity", StringComparison.OrdinalIgnoreCase))
        {
            return sign * double.PositiveInfinity;
        }

        if (unsigned.Equals("nan", StringComparison.OrdinalIgnoreCase))
        {
            return double.NaN;
        }

        // Underscores are allowed between digits alone, so what is between two of them is never empty nor at an edge.
        for (int i = 0; i < unsigned.Length; i++)
        {
            if (unsigned[i] == '_' &&
                (i == 0 || i + 1 == unsigned.Length || !char.IsAsciiDigit(unsigned[i - 1]) || !char.IsAsciiDigit(unsigned[i + 1])))
            {
                return null;
            }
        }

        const NumberStyles Style = NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        string digits = unsigned.ToString().Replace("_", "", StringComparison.Ordinal);
        bool startsLikeOne = unsigned.Length > 0 && (char.IsAsciiDigit(unsigned[0]) || unsigned[0] == '.');
        return startsLikeOne && double.TryParse(digits, Style, CultureInfo.InvariantCulture, out double value) ? sign * value : null;
    }

    /// <summary>The value of a bool or integer.</summary>
    public static BigInteger ToInteger(NumberValue number) => number switch
    {
        IntegerValue integer => integer.Value,
        BoolValue { Value: true } => BigInteger.One,
        _ => BigInteger.Zero,
    };

    /// <summary>The nearest double, ties to even; infinite when there is none. (.NET's own conversion truncates.)</summary>
    public static double ToDouble(BigInteger value)
    {
        long bits = value.GetBitLength();
        if (bits <= 63)
        {
            return (long)value;
        }

        BigInteger magnitude = BigInteger.Abs(value);
        int shift = (int)magnitude.GetBitLength() - 64;
        if (shift <= 0)
        {
            return value.Sign * (double)(ulong)magnitude;
        }

        BigInteger top = magnitude >> shift;
        ulong sticky = (top << shift) == magnitude ? 0UL : 1UL;
        return value.Sign * Math.ScaleB((ulong)top | sticky, shift);
    }

    // What the letter in 0x, 0o or 0b means; 0 for any other.
    private static int RadixOf(char letter) => char.ToLowerInvariant(letter) switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => 0 };

    // Whitespace stripped, and the digits of other scripts made ASCII, as Python reads them.
    private static ReadOnlySpan<char> Plain(string text)
    {
        int start = 0;
        int end = text.Length;
        while (start < end && PythonChar.IsSpace(text[start]))
        {
            start++;
        }

        while (end > start && PythonChar.IsSpace(text[end - 1]))
        {
            end--;
        }

        string trimmed = text[start..end];
        if (Ascii.IsValid(trimmed))
        {
            return trimmed;
        }

        StringBuilder plain = new(trimmed.Length);
        foreach (Rune c in trimmed.EnumerateRunes())
        {
            int digit = PythonChar.IsDecimal(c) ? (int)Rune.GetNumericValue(c) : -1;
            plain.Append(digit >= 0 ? new Rune('0' + digit) : c);
        }

        return plain.ToString();
    }

    private static bool TryDropUnderscores(ReadOnlySpan<char> text, out string digits)
    {
        digits = text.ToString().Replace("_", "", StringComparison.Ordinal);
        return digits.Length > 0 && text[0] != '_' && text[^1] != '_' && !text.Contains("__", StringComparison.Ordinal);
    }

    private static int DigitValue(char c) => c switch
    {
        >= '0' and <= '9' => c - '0',
        >= 'a' and <= 'z' => c - 'a' + 10,
        >= 'A' and <= 'Z' => c - 'A' + 10,
        _ => 99,
    };
}
