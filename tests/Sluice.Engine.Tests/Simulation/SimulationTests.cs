using System.Globalization;

namespace Sluice.Engine.Tests.Simulation;

/// <summary>
/// Random whole runs of the engine. <c>SLUICE_SIM_SEEDS=10000</c> runs more of them; <c>SLUICE_SIM_SEED=123</c> replays one.
/// </summary>
public sealed class SimulationTests
{
    [Fact]
    public void Every_request_gets_its_own_tokens_one_end_and_gives_all_memory_back()
    {
        if (Environment.GetEnvironmentVariable("SLUICE_SIM_SEED") is { } one)
        {
            _ = new SimulatedRun(int.Parse(one, CultureInfo.InvariantCulture)).Run();
            return;
        }

        int seeds = int.Parse(Environment.GetEnvironmentVariable("SLUICE_SIM_SEEDS") ?? "200", CultureInfo.InvariantCulture);
        long preemptions = 0, failedSteps = 0;
        var ends = new long[4];
        for (int seed = 0; seed < seeds; seed++)
        {
            var run = new SimulatedRun(seed);
            _ = run.Run();
            preemptions += run.Preemptions;
            failedSteps += run.FailedSteps;
            for (int reason = 0; reason < ends.Length; reason++)
                ends[reason] += run.Ends((FinishReason)reason);
        }

        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{seeds} seeds: {string.Join(", ", ends.Select((n, i) => $"{n} {(FinishReason)i}"))}, {preemptions} preemptions, {failedSteps} failed steps");

        // A simulation in which nothing happens proves nothing.
        Assert.True(preemptions > seeds / 2 && failedSteps > seeds / 4, $"{preemptions} preemptions, {failedSteps} failed steps");
        Assert.All(ends, n => Assert.True(n > seeds, $"ends: {string.Join(", ", ends)}"));
    }

    [Fact]
    public void The_same_seed_gives_the_same_trace()
    {
        for (int seed = 0; seed < 20; seed++)
            Assert.Equal(new SimulatedRun(seed).Run(), new SimulatedRun(seed).Run());
    }
}
