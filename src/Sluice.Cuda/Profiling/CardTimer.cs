using Sluice.Cuda.Driver;

namespace Sluice.Cuda.Profiling;

/// <summary>Times what is queued, by the card's own clock.</summary>
internal static class CardTimer
{
    private const int WarmUps = 2;

    /// <summary>The median of several repetitions, microseconds; two before them do not count.</summary>
    public static double Median(CudaStream stream, int repeats, Action work)
    {
        using CudaEvent start = new(isTimed: true);
        using CudaEvent end = new(isTimed: true);
        double[] times = new double[repeats];
        for (int i = -WarmUps; i < repeats; i++)
        {
            start.Record(stream);
            work();
            end.Record(stream);
            end.Wait();
            if (i >= 0)
                times[i] = end.MicrosecondsSince(start);
        }

        Array.Sort(times);
        return times[repeats / 2];
    }
}
