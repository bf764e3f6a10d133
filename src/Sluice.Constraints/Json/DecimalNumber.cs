using System.Globalization;

namespace Sluice.Constraints.Json;

/// <summary>A JSON number exactly: its sign and decimal digits, whatever exponent it was written with.</summary>
/// <param name="IsNegative">Whether it is below zero.</param>
/// <param name="Whole">Digits before the point, without leading zeros; at least one.</param>
/// <param name="Fraction">Digits after it, without trailing zeros.</param>
internal sealed record DecimalNumber(bool IsNegative, string Whole, string Fraction)
{
    private const int MostDigits = 400;

    public bool IsZero => Whole == "0" && Fraction.Length == 0;

    public bool IsInteger => Fraction.Length == 0;

    /// <summary>Reads a number that is valid JSON; null if it has more than 400 digits.</summary>
    public static DecimalNumber? Parse(string json)
    {
        int e = json.AsSpan().IndexOfAny('e', 'E');
        string mantissa = e < 0 ? json : json[..e];
        int exponent = 0;
        if (e >= 0 && !int.TryParse(json.AsSpan(e + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out exponent))
            return null;
        bool isNegative = mantissa[0] == '-';
        string[] parts = mantissa.TrimStart('-').Split('.');
        string digits = string.Concat(parts);
        if (digits.Length + Math.Abs((long)exponent) > MostDigits)
            return null;

        int point = parts[0].Length + exponent;
        if (point < 0)
            (digits, point) = (new string('0', -point) + digits, 0);
        digits = digits.PadRight(point, '0');
        string whole = digits[..point].TrimStart('0'), fraction = digits[point..].TrimEnd('0');
        bool isZero = whole.Length == 0 && fraction.Length == 0;
        return new DecimalNumber(isNegative && !isZero, whole.Length == 0 ? "0" : whole, fraction);
    }

    /// <summary>Below zero, zero or above, as this is less than, equal to or greater than the other.</summary>
    public int OrderTo(DecimalNumber other)
    {
        if (IsNegative != other.IsNegative)
            return IsNegative ? -1 : 1;
        int order = Whole.Length != other.Whole.Length ? Whole.Length.CompareTo(other.Whole.Length) : string.CompareOrdinal(Whole, other.Whole);
        if (order == 0)
            order = string.CompareOrdinal(Fraction, other.Fraction);
        return IsNegative ? -order : order;
    }
}
