using System.Globalization;

namespace Sluice.Server.Configuration;

/// <summary>Times as people write them.</summary>
internal static class Duration
{
    private static readonly (string Unit, double Seconds)[] Units = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)];

    /// <summary>Reads a number with ms, s, m or h behind it, a bare number of seconds, or hours:minutes:seconds.</summary>
    public static bool TryParse(string text, out TimeSpan value)
    {
        value = default;
        if (text.Contains(':', StringComparison.Ordinal))
            return TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out value);
        (string unit, double seconds) = Units.FirstOrDefault(u => text.EndsWith(u.Unit, StringComparison.Ordinal), ("", 1));
        if (!double.TryParse(text.AsSpan(0, text.Length - unit.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number)
            || number * seconds > TimeSpan.FromDays(365).TotalSeconds)
        {
            return false;
        }

        value = TimeSpan.FromSeconds(number * seconds);
        return true;
    }
}
