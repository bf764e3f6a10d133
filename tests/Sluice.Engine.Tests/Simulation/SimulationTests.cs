using System.Globalization;

namespace Sluice.Engine.Tests.Simulation;

/// <summary>
/// Random whole runs of the engine. <c>SLUICE_SIM_SEEDS=10000 SLUICE_SIM_REQUESTS=200</c> runs more of them; <c>SLUICE_SIM_SEED=123</c>
/// replays one.
/// </summary>
public sealed class SimulationTests
{
    private static readonly string[] MustHappen =
    [
        "Stop", "Length", "Cancelled", "NaN rows", "lost with a step", "preemptions", "deferrals", "forks", "cached tokens", "evictions",
        "skipped checkpoints", "pages moved",
    ];

    private static int Requests => Setting("SLUICE_SIM_REQUESTS") ?? 60;

    [Fact]
    public void Every_request_gets_its_own_tokens_one_end_and_gives_all_memory_back()
    {
        if (Setting("SLUICE_SIM_SEED") is { } one)
        {
            _ = new SimulatedRun(one, Requests).Run();
            return;
        }

        int seeds = Setting("SLUICE_SIM_SEEDS") ?? 300;
        var coverage = new Dictionary<string, long>(StringComparer.Ordinal);
        Parallel.For(0, seeds, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, seed =>
        {
            var run = new SimulatedRun(seed, Requests);
            _ = run.Run();
            lock (coverage)
            {
                foreach ((string what, long count) in run.Coverage)
                    coverage[what] = coverage.GetValueOrDefault(what) + count;
            }
        });

        string happened = string.Join(", ", coverage.OrderBy(x => x.Key, StringComparer.Ordinal).Select(x => $"{x.Key} {x.Value}"));
        TestContext.Current.TestOutputHelper?.WriteLine($"{seeds} seeds of {Requests} requests: {happened}");

        // A simulation in which nothing happens proves nothing.
        Assert.All(MustHappen, what => Assert.True(coverage.GetValueOrDefault(what) > seeds / 10, $"too few {what}: {happened}"));
    }

    [Fact]
    public void The_same_seed_gives_the_same_trace()
    {
        Parallel.For(0, 100, seed => Assert.Equal(new SimulatedRun(seed, 40).Run(), new SimulatedRun(seed, 40).Run()));
    }

    private static int? Setting(string name) =>
        Environment.GetEnvironmentVariable(name) is { } value ? int.Parse(value, CultureInfo.InvariantCulture) : null;
}
