using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Sluice.Server.Telemetry.Prometheus;

/// <summary>
/// Listens to meters and writes what they measured as Prometheus text (version 0.0.4). Written here because OpenTelemetry's Prometheus
/// exporter has had no stable release, and this needs no more than the platform's own <see cref="MeterListener"/>.
/// </summary>
internal sealed class MetricCollector : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly List<MetricInstrument> _instruments = [];
    private readonly Lock _lock = new();

    /// <summary>Listens to the meters that <paramref name="isWanted"/> says.</summary>
    public MetricCollector(Func<Meter, bool> isWanted)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (!isWanted(instrument.Meter))
                return;
            var metric = new MetricInstrument(instrument);
            lock (_lock)
                _instruments.Add(metric);
            listener.EnableMeasurementEvents(instrument, metric);
        };
        _listener.SetMeasurementEventCallback<double>(static (_, value, tags, metric) => ((MetricInstrument)metric!).Record(value, tags));
        _listener.SetMeasurementEventCallback<float>(static (_, value, tags, metric) => ((MetricInstrument)metric!).Record(value, tags));
        _listener.SetMeasurementEventCallback<long>(static (_, value, tags, metric) => ((MetricInstrument)metric!).Record(value, tags));
        _listener.SetMeasurementEventCallback<int>(static (_, value, tags, metric) => ((MetricInstrument)metric!).Record(value, tags));
        _listener.SetMeasurementEventCallback<short>(static (_, value, tags, metric) => ((MetricInstrument)metric!).Record(value, tags));
        _listener.SetMeasurementEventCallback<byte>(static (_, value, tags, metric) => ((MetricInstrument)metric!).Record(value, tags));
        _listener.Start();
    }

    /// <summary>Everything measured so far.</summary>
    public string Write()
    {
        var text = new StringBuilder();
        lock (_lock)
        {
            _listener.RecordObservableInstruments();
            foreach (IGrouping<string, MetricInstrument> family in _instruments.GroupBy(metric => metric.Name, StringComparer.Ordinal).OrderBy(group => group.Key, StringComparer.Ordinal))
                WriteFamily(text, family.First(), family);
        }

        return text.ToString();
    }

    public void Dispose() => _listener.Dispose();

    private static void WriteFamily(StringBuilder text, MetricInstrument first, IEnumerable<MetricInstrument> family)
    {
        if (first.Help is { Length: > 0 } help)
            text.Append(CultureInfo.InvariantCulture, $"# HELP {first.Name} {MetricNames.Escape(help)}\n");
        string type = first.Kind switch { MetricKind.Counter => "counter", MetricKind.Histogram => "histogram", _ => "gauge" };
        text.Append(CultureInfo.InvariantCulture, $"# TYPE {first.Name} {type}\n");
        foreach (MetricSeries series in family.SelectMany(metric => metric.Series))
        {
            if (first.Kind == MetricKind.Histogram)
                WriteHistogram(text, first.Name, series);
            else
                WriteSample(text, first.Name, series.Labels, series.Value);
        }
    }

    private static void WriteHistogram(StringBuilder text, string name, MetricSeries series)
    {
        long total = 0;
        string separator = series.Labels.Length > 0 ? "," : "";
        foreach ((double bound, long count) in series.Cumulative())
        {
            WriteSample(text, $"{name}_bucket", $"{series.Labels}{separator}le=\"{Number(bound)}\"", count);
            total = count;
        }

        WriteSample(text, $"{name}_sum", series.Labels, series.Value);
        WriteSample(text, $"{name}_count", series.Labels, total);
    }

    private static void WriteSample(StringBuilder text, string name, string labels, double value)
    {
        text.Append(name);
        if (labels.Length > 0)
            text.Append('{').Append(labels).Append('}');
        text.Append(' ').Append(Number(value)).Append('\n');
    }

    private static string Number(double value) =>
        double.IsPositiveInfinity(value) ? "+Inf" : double.IsNegativeInfinity(value) ? "-Inf" : value.ToString("R", CultureInfo.InvariantCulture);
}
