using System.Globalization;

namespace Sluice.Server.Telemetry.Prometheus;

/// <summary>The values of one instrument under one set of labels. Recording takes no lock and allocates nothing.</summary>
internal sealed class MetricSeries
{
    private readonly double[] _bounds;
    private readonly long[] _buckets;
    private long _valueBits;

    /// <summary>A series with the labels of <paramref name="tags"/>; <paramref name="bounds"/> of a histogram's buckets, ascending.</summary>
    public MetricSeries(ReadOnlySpan<KeyValuePair<string, object?>> tags, double[] bounds)
    {
        Tags = tags.ToArray();
        Labels = Describe(Tags);
        _bounds = bounds;
        _buckets = new long[bounds.Length + 1];
    }

    public KeyValuePair<string, object?>[] Tags { get; }

    /// <summary>The labels as Prometheus writes them, without braces.</summary>
    public string Labels { get; }

    /// <summary>A counter's or gauge's value, a histogram's sum.</summary>
    public double Value => BitConverter.Int64BitsToDouble(Volatile.Read(ref _valueBits));

    /// <summary>Measurements of a histogram up to each bound, and then all of them.</summary>
    public IEnumerable<(double Bound, long Count)> Cumulative()
    {
        long count = 0;
        for (int i = 0; i < _buckets.Length; i++)
        {
            count += Volatile.Read(ref _buckets[i]);
            yield return (i < _bounds.Length ? _bounds[i] : double.PositiveInfinity, count);
        }
    }

    /// <summary>Adds to a counter, or to a histogram.</summary>
    public void Add(double value)
    {
        long before;
        do
        {
            before = Volatile.Read(ref _valueBits);
        }
        while (Interlocked.CompareExchange(ref _valueBits, BitConverter.DoubleToInt64Bits(BitConverter.Int64BitsToDouble(before) + value), before) != before);
        int bucket = Array.BinarySearch(_bounds, value);
        Interlocked.Increment(ref _buckets[bucket < 0 ? ~bucket : bucket]);
    }

    /// <summary>Sets a gauge, or a counter that reports its total.</summary>
    public void Set(double value) => Volatile.Write(ref _valueBits, BitConverter.DoubleToInt64Bits(value));

    /// <summary>Whether these are its labels, in whatever order.</summary>
    public bool Matches(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.Length != Tags.Length)
            return false;
        foreach (KeyValuePair<string, object?> tag in tags)
        {
            bool isThere = false;
            foreach (KeyValuePair<string, object?> own in Tags)
                isThere |= own.Key == tag.Key && Equals(own.Value, tag.Value);
            if (!isThere)
                return false;
        }

        return true;
    }

    private static string Describe(KeyValuePair<string, object?>[] tags) => string.Join(
        ',',
        tags.OrderBy(tag => tag.Key, StringComparer.Ordinal)
            .Select(tag => $"{MetricNames.Sanitise(tag.Key)}=\"{MetricNames.Escape(Convert.ToString(tag.Value, CultureInfo.InvariantCulture) ?? "")}\""));
}
