using System.Diagnostics.Metrics;

namespace Sluice.Server.Telemetry.Prometheus;

/// <summary>An instrument and its series.</summary>
internal sealed class MetricInstrument
{
    /// <summary>Most series: what one more set of labels measures is dropped, so that no mistake with labels can eat the memory.</summary>
    private const int MaxSeries = 1000;

    // From a step of the smallest model to an answer of many minutes.
    private static readonly double[] Seconds =
        [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

    private static readonly double[] Counts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];

    private readonly Lock _lock = new();
    private readonly double[] _bounds;
    private MetricSeries[] _series = [];

    public MetricInstrument(Instrument instrument)
    {
        Type type = instrument.GetType().GetGenericTypeDefinition();
        Kind = type == typeof(Histogram<>) ? MetricKind.Histogram
            : type == typeof(Counter<>) || type == typeof(ObservableCounter<>) ? MetricKind.Counter
            : MetricKind.Gauge;
        IsAbsolute = instrument.IsObservable || type == typeof(Gauge<>);
        Name = MetricNames.Of(instrument, Kind);
        Help = instrument.Description;
        _bounds = Kind != MetricKind.Histogram ? [] : instrument.Unit == "s" ? Seconds : Counts;
    }

    public MetricKind Kind { get; }

    public string Name { get; }

    public string? Help { get; }

    public IReadOnlyList<MetricSeries> Series => Volatile.Read(ref _series);

    /// <summary>Whether a measurement is the value, and not a change of it.</summary>
    private bool IsAbsolute { get; }

    /// <summary>Takes a measurement.</summary>
    public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if ((Find(Volatile.Read(ref _series), tags) ?? Create(tags)) is not { } series)
            return;
        if (IsAbsolute)
            series.Set(value);
        else
            series.Add(value);
    }

    private static MetricSeries? Find(MetricSeries[] all, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        foreach (MetricSeries series in all)
        {
            if (series.Matches(tags))
                return series;
        }

        return null;
    }

    private MetricSeries? Create(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        lock (_lock)
        {
            if (Find(_series, tags) is { } known)
                return known;
            if (_series.Length == MaxSeries)
                return null;
            var series = new MetricSeries(tags, _bounds);
            Volatile.Write(ref _series, [.. _series, series]);
            return series;
        }
    }
}
