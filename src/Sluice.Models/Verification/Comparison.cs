namespace Sluice.Models.Verification;

/// <summary>How far computed numbers are from expected ones.</summary>
/// <param name="Name">What is compared.</param>
/// <param name="Count">Numbers compared.</param>
/// <param name="MaxError">Largest absolute difference; infinite if a computed number is not one.</param>
/// <param name="MeanError">Mean absolute difference.</param>
/// <param name="StandardDeviation">Of the expected numbers: what the differences are to be seen against.</param>
public sealed record Comparison(string Name, long Count, double MaxError, double MeanError, double StandardDeviation)
{
    /// <summary>Mean of the expected numbers.</summary>
    public double Mean { get; init; }

    /// <summary>Mean of the computed numbers less <see cref="Mean"/>: of log-likelihoods, the logarithm of the ratio of perplexities.</summary>
    public double MeanDifference { get; init; }

    /// <summary><see cref="MaxError"/> in units of <see cref="StandardDeviation"/>.</summary>
    public double RelativeMaxError => Relative(MaxError);

    /// <summary><see cref="MeanError"/> in units of <see cref="StandardDeviation"/>.</summary>
    public double RelativeMeanError => Relative(MeanError);

    private double Relative(double error) => error == 0 ? 0 : error / StandardDeviation;
}

/// <summary>Gathers a <see cref="Comparison"/> a row at a time.</summary>
internal sealed class ComparisonBuilder(string name)
{
    private long _count;
    private double _maxError;
    private double _errors;
    private double _differences;
    private double _sum;
    private double _squares;

    public void Add(ReadOnlySpan<float> expected, ReadOnlySpan<float> found)
    {
        for (int i = 0; i < expected.Length; i++)
            Add(expected[i], found[i]);
    }

    public void Add(double expected, double found)
    {
        double error = Math.Abs(expected - found);
        if (double.IsNaN(error))
            error = double.PositiveInfinity;
        _maxError = Math.Max(_maxError, error);
        _errors += error;
        _differences += found - expected;
        _sum += expected;
        _squares += expected * expected;
        _count++;
    }

    public Comparison Build()
    {
        double mean = _sum / _count;
        return new Comparison(name, _count, _maxError, _errors / _count, Math.Sqrt(Math.Max(0, (_squares / _count) - (mean * mean))))
        {
            Mean = mean,
            MeanDifference = _differences / _count,
        };
    }
}
