using System.Text.Json;
using Sluice.Models;
using Sluice.Testing;

namespace Sluice.Tests.Golden;

/// <summary>Greedy continuations of 27 prompts by the demonstration model, with the eight likeliest tokens at every step.</summary>
public sealed class DemoGreedyTests
{
    private const double SmallestGap = 1e-3;
    private const double LogProbabilityTolerance = 2e-3;

    public static TheoryData<string> Backends => GoldenBackends.All;

    [Theory]
    [MemberData(nameof(Backends))]
    public void Continuations_are_the_same(string backend)
    {
        using JsonDocument items = DemoModel.ReadJson("greedy.json");
        using DemoModel demo = new(backend, new ModelOptions { MaxStepTokens = 256, MaxLogitRows = 256, Pages = 64, Slots = 1 });
        int compared = 0;
        int stride = backend == GoldenBackends.Scalar ? 9 : 1;
        foreach (JsonElement item in items.RootElement.EnumerateArray().Where((_, index) => index % stride == 0))
        {
            Sequence sequence = new(demo.Model);
            float[] logits = sequence.Run(DemoModel.Ids(item, "prompt_ids"), chunk: 100)[^1];
            int[] expected = DemoModel.Ids(item, "greedy_ids");
            for (int step = 0; step < expected.Length; step++)
            {
                (int Id, double LogProbability)[] likeliest =
                    [.. item.GetProperty("top8")[step].EnumerateArray().Select(pair => (pair[0].GetInt32(), pair[1].GetDouble()))];
                double normaliser = LogSumExp(logits);
                foreach ((int id, double expectedLog) in likeliest)
                    Assert.Equal(expectedLog, logits[id] - normaliser, LogProbabilityTolerance);
                if (likeliest[0].LogProbability - likeliest[1].LogProbability < SmallestGap)
                    break; // either token is right here, and what follows depends on it
                int best = Array.IndexOf(logits, logits.Max());
                Assert.Equal(expected[step], best);
                compared++;
                logits = sequence.Run([best], 1)[0];
            }
        }

        // In this file the likeliest two are never that close.
        Assert.Equal(backend == GoldenBackends.Scalar ? 52 : 484, compared);
    }

    private static double LogSumExp(float[] logits)
    {
        double largest = logits.Max();
        return largest + Math.Log(logits.Sum(logit => Math.Exp(logit - largest)));
    }
}
