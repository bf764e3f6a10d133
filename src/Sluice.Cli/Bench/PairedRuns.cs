namespace Sluice.Cli.Bench;

/// <summary>Two ways of doing the same, run in turn.</summary>
internal static class PairedRuns
{
    /// <summary>
    /// Runs both ways <paramref name="pairs"/> times; <paramref name="run"/> is told which. The order alternates, so that a machine that slows down or
    /// speeds up favours neither.
    /// </summary>
    public static async Task<List<(T On, T Off)>> RunAsync<T>(int pairs, Func<bool, Task<T>> run)
    {
        List<(T, T)> results = [];
        for (int i = 0; i < pairs; i++)
        {
            T first = await run(i % 2 == 0);
            T second = await run(i % 2 != 0);
            results.Add(i % 2 == 0 ? (first, second) : (second, first));
        }

        return results;
    }
}
