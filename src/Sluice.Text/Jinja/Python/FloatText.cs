using System.Globalization;
using System.Numerics;

namespace Sluice.Text.Jinja;

/// <summary>Floats as Python writes them. Rounding is half to even on the exact binary value, which .NET's own formats do not do.</summary>
internal static class FloatText
{
    // A double has no more than 1,074 decimals and 309 digits before the point: beyond, all digits are zeros.
    private const int MaximumDecimals = 1100;

    /// <summary>What <c>repr()</c> gives: the shortest digits that read back as the same number.</summary>
    public static string Repr(double value)
    {
        if (!double.IsFinite(value))
        {
            return NotFinite(value);
        }

        (string sign, string digits, int point) = Shortest(value);
        return sign + (point is > -4 and <= 16 ? Fixed(digits, point, atLeastOneDecimal: true) : Scientific(digits, point - 1, 'e'));
    }

    /// <summary>As JSON: <c>NaN</c> and <c>Infinity</c> like Python's json module.</summary>
    public static string Json(double value) =>
        double.IsNaN(value) ? "NaN" : double.IsInfinity(value) ? value > 0 ? "Infinity" : "-Infinity" : Repr(value);

    /// <summary>A non-negative number with the format codes <c>e</c>, <c>f</c> and <c>g</c>.</summary>
    public static string Format(double value, char code, int precision, bool alternate = false)
    {
        if (!double.IsFinite(value))
        {
            return NotFinite(value);
        }

        int used = Math.Min(precision, MaximumDecimals);
        switch (code)
        {
            case 'f':
                return Decimals(value, used) + new string('0', precision - used) + (alternate && precision == 0 ? "." : "");
            case 'e':
                (string digits, int exponent) = Significant(value, used + 1);
                digits += new string('0', precision - used);
                return Scientific(digits, exponent, 'e', keepPoint: alternate);
            default:
                return General(value, Math.Max(used, 1), alternate);
        }
    }

    /// <summary><c>round(value, decimals)</c>; decimals may be negative.</summary>
    public static double Round(double value, int decimals)
    {
        const double WholeFrom = 1L << 52;
        if (!double.IsFinite(value) || value == 0 || decimals > 400 || (decimals >= 0 && Math.Abs(value) >= WholeFrom))
        {
            return value;
        }

        if (decimals < -400)
        {
            return Math.CopySign(0, value);
        }

        BigInteger scaled = Scaled(Math.Abs(value), decimals);
        double rounded = double.Parse(
            string.Create(CultureInfo.InvariantCulture, $"{scaled}E{-decimals}"), NumberStyles.Float, CultureInfo.InvariantCulture);
        return Math.CopySign(rounded, value);
    }

    private static string NotFinite(double value) => double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";

    private static string General(double value, int precision, bool alternate)
    {
        (string digits, int exponent) = Significant(value, precision);
        if (!alternate)
        {
            digits = digits.TrimEnd('0');
            digits = digits.Length == 0 ? "0" : digits;
        }

        if (exponent < -4 || exponent >= precision)
        {
            return Scientific(digits, exponent, 'e');
        }

        string text = Fixed(digits, exponent + 1, atLeastOneDecimal: false);
        return alternate && !text.Contains('.', StringComparison.Ordinal) ? text + "." : text;
    }

    /// <summary>Shortest digits <c>d1 d2...</c> and the position of the decimal point relative to the first of them.</summary>
    private static (string Sign, string Digits, int Point) Shortest(double value)
    {
        string shortest = value.ToString("R", CultureInfo.InvariantCulture);
        string sign = shortest[0] == '-' ? "-" : "";
        int exponentMark = shortest.IndexOf('E', StringComparison.Ordinal);
        ReadOnlySpan<char> mantissa = shortest.AsSpan(sign.Length, (exponentMark < 0 ? shortest.Length : exponentMark) - sign.Length);
        int exponent = exponentMark < 0
            ? 0
            : int.Parse(shortest.AsSpan(exponentMark + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        int dot = mantissa.IndexOf('.');
        int whole = dot < 0 ? mantissa.Length : dot;
        string digits = dot < 0 ? mantissa.ToString() : string.Concat(mantissa[..dot], mantissa[(dot + 1)..]);
        string trimmed = digits.TrimStart('0');
        int point = whole - (digits.Length - trimmed.Length) + exponent;
        trimmed = trimmed.TrimEnd('0');
        return trimmed.Length == 0 ? (sign, "0", 1) : (sign, trimmed, point);
    }

    private static string Fixed(string digits, int point, bool atLeastOneDecimal)
    {
        if (point <= 0)
        {
            return "0." + new string('0', -point) + digits;
        }

        if (point >= digits.Length)
        {
            return digits + new string('0', point - digits.Length) + (atLeastOneDecimal ? ".0" : "");
        }

        return digits[..point] + "." + digits[point..];
    }

    private static string Scientific(string digits, int exponent, char mark, bool keepPoint = false)
    {
        string mantissa = digits.Length > 1 ? $"{digits[0]}.{digits.AsSpan(1)}" : keepPoint ? digits + "." : digits;
        return string.Create(CultureInfo.InvariantCulture, $"{mantissa}{mark}{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}");
    }

    private static string Decimals(double value, int decimals)
    {
        string scaled = Scaled(value, decimals).ToString(CultureInfo.InvariantCulture).PadLeft(decimals + 1, '0');
        return decimals == 0 ? scaled : $"{scaled.AsSpan(0, scaled.Length - decimals)}.{scaled.AsSpan(scaled.Length - decimals)}";
    }

    /// <summary><paramref name="count"/> significant digits and the decimal exponent of the first.</summary>
    private static (string Digits, int Exponent) Significant(double value, int count)
    {
        if (value == 0)
        {
            return (new string('0', count), 0);
        }

        int exponent = (int)Math.Floor(Math.Log10(value));
        while (true)
        {
            string digits = Scaled(value, count - 1 - exponent).ToString(CultureInfo.InvariantCulture);
            if (digits.Length == count)
            {
                return (digits, exponent);
            }

            exponent += digits.Length > count ? 1 : -1;
        }
    }

    /// <summary>value × 10^decimals to the nearest integer, ties to even. <paramref name="value"/> is not negative.</summary>
    private static BigInteger Scaled(double value, int decimals)
    {
        long bits = BitConverter.DoubleToInt64Bits(value);
        int exponent = (int)((bits >> 52) & 0x7FF);
        long mantissa = (bits & 0xFFFFFFFFFFFFF) | (exponent == 0 ? 0 : 1L << 52);
        exponent = Math.Max(exponent, 1) - 1075;

        BigInteger numerator = mantissa;
        BigInteger denominator = BigInteger.One;
        if (exponent >= 0)
        {
            numerator <<= exponent;
        }
        else
        {
            denominator <<= -exponent;
        }

        if (decimals >= 0)
        {
            numerator *= BigInteger.Pow(10, decimals);
        }
        else
        {
            denominator *= BigInteger.Pow(10, -decimals);
        }

        BigInteger quotient = BigInteger.DivRem(numerator, denominator, out BigInteger remainder);
        int half = (remainder << 1).CompareTo(denominator);
        return half > 0 || (half == 0 && !quotient.IsEven) ? quotient + 1 : quotient;
    }
}
