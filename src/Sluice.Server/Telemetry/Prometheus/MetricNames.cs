using System.Diagnostics.Metrics;

namespace Sluice.Server.Telemetry.Prometheus;

/// <summary>Names of instruments and labels as Prometheus wants them, by the rules of OpenTelemetry's compatibility specification.</summary>
internal static class MetricNames
{
    /// <summary>An instrument's name, with its unit and, for a counter, <c>_total</c> at the end.</summary>
    public static string Of(Instrument instrument, MetricKind kind)
    {
        string name = Sanitise(instrument.Name);
        string unit = UnitOf(instrument.Unit);
        if (unit.Length > 0 && !name.EndsWith(unit, StringComparison.Ordinal))
            name = $"{name}_{unit}";
        return kind == MetricKind.Counter && !name.EndsWith("_total", StringComparison.Ordinal) ? $"{name}_total" : name;
    }

    /// <summary>Letters, digits and underscores.</summary>
    public static string Sanitise(string name) => string.Create(name.Length, name, static (span, name) =>
    {
        for (int i = 0; i < span.Length; i++)
            span[i] = char.IsAsciiLetter(name[i]) || (i > 0 && char.IsAsciiDigit(name[i])) ? name[i] : '_';
    });

    /// <summary>A label's value, or a help text.</summary>
    public static string Escape(string text) =>
        text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);

    // Units in braces annotate and are left out.
    private static string UnitOf(string? unit) => unit switch
    {
        "s" => "seconds",
        "ms" => "milliseconds",
        "By" => "bytes",
        "1" or null => "",
        _ when unit.EndsWith("/s", StringComparison.Ordinal) => "per_second",
        _ => "",
    };
}

/// <summary>What Prometheus calls an instrument.</summary>
internal enum MetricKind
{
    Counter,
    Gauge,
    Histogram,
}
