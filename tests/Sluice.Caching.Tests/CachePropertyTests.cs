using System.Collections.Concurrent;
using System.Globalization;
using Sluice.Caching.Tests.Fuzz;

namespace Sluice.Caching.Tests;

/// <summary>
/// The cache against a naive model and a simulated device, all rules checked after each operation.
/// <c>SLUICE_CACHE_OPS=5000000</c> is the full run, over 1,000 seeds; <c>SLUICE_CACHE_SEED</c> replays one.
/// </summary>
public sealed class CachePropertyTests(ITestOutputHelper output)
{
    private const int DefaultOperations = 150_000;
    private const int MostSeeds = 1000;
    private const int LeastOperations = 1000;

    [Fact]
    public void Random_operations_keep_every_rule()
    {
        int total = Setting("SLUICE_CACHE_OPS") ?? DefaultOperations;
        int? only = Setting("SLUICE_CACHE_SEED");
        int seeds = only is null ? Math.Clamp(total / LeastOperations, 1, MostSeeds) : 1;
        int operations = only is null ? total / seeds : Setting("SLUICE_CACHE_SEED_OPS") ?? Math.Max(LeastOperations, total / MostSeeds);
        var failures = new ConcurrentQueue<string>();
        var coverage = new Coverage();
        Parallel.For(only ?? 1, (only ?? 1) + seeds, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, seed =>
        {
            try
            {
                Coverage run = CacheRun.Execute((ulong)seed, operations);
                lock (coverage)
                    coverage.Add(run);
            }
            catch (ViolationException e)
            {
                failures.Enqueue(e.Message);
            }
        });

        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{seeds} seeds of {operations} operations"));
        foreach ((string what, long times) in coverage.Counts.OrderBy(x => x.Key, StringComparer.Ordinal))
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{times,12:N0} {what}"));
        Assert.True(failures.IsEmpty, $"{failures.Count} of {seeds} seeds fail (replay: SLUICE_CACHE_SEED=n); the first: {failures.FirstOrDefault()}");
        if (only is not null)
            return;
        foreach (string what in Met)
            Assert.True(coverage.Counts.GetValueOrDefault(what) > 0, $"no run met: {what}");
    }

    private static readonly string[] Met =
    [
        "hits", "misses", "hits mid-page", "refused admissions", "invalid leases", "planned", "forks", "abandoned steps", "attached", "refused duplicates",
        "adopted tokens", "refused pages", "exports", "skipped exports", "faults", "evictions", "ghosts forgotten", "compactions",
    ];

    private static int? Setting(string name) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;
}
