using System.Globalization;
using Sluice.Caching.Sequences;
using Sluice.Engine;
using Sluice.Engine.Sampling;
using Sluice.Models;

namespace Sluice.Tests.Golden;

/// <summary>
/// Greedy outputs on a card: sums are of another order in another batch or chunk, so tokens that are nearly as likely may change places. How many do
/// is counted, up to the first in an output, for after it the outputs are not comparable: one in a thousand at most over all conditions. <c>SLUICE_INVARIANCE_PROMPTS</c> sets the number of prompts.
/// </summary>
public sealed class CardAgreementTests(ITestOutputHelper output)
{
    private const int MaxTokens = 24;
    private const double LeastAgreement = 0.999;
    private const double LeastOfOneCondition = 0.998; // five or so part by chance, of five thousand tokens

    private static readonly int PromptCount =
        int.Parse(Environment.GetEnvironmentVariable("SLUICE_INVARIANCE_PROMPTS") ?? "200", CultureInfo.InvariantCulture);

    [Fact]
    public async Task Greedy_tokens_agree_in_every_condition()
    {
        GoldenBackends.NeedCard();
        int[][] prompts = [.. DemoModel.Prompts().Take(PromptCount)];
        using DemoModel demo = new(GoldenBackends.Card, new ModelOptions { MaxStepTokens = 512, MaxLogitRows = 64, CacheBytes = 512 << 20 });
        (int same, int parted) = (0, 0);
        SampledToken[][] expected;
        await using (InferenceEngine engine = new(demo.Model, Options(isCaching: false)))
            expected = await Run(engine, prompts, 1);

        foreach (int chunk in new[] { 16, 100 })
            await Compare($"chunks of {chunk}", Options(isCaching: false, chunk), 1);
        foreach (int size in new[] { 2, 8, 32 })
            await Compare($"batches of {size}", Options(isCaching: false), size);

        // The second time around, every prompt is cached but for its last tokens.
        await using InferenceEngine caching = new(demo.Model, Options());
        _ = await Run(caching, prompts, 1);
        Report("full hits", await Run(caching, prompts, 1));
        Assert.InRange(caching.Status.Cache.HitRate, 0.4, 1);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"all: {same / (double)(same + parted):P3} of {same + parted} tokens"));
        Assert.InRange(same / (double)(same + parted), LeastAgreement, 1);

        async Task Compare(string condition, EngineOptions options, int together)
        {
            await using InferenceEngine engine = new(demo.Model, options);
            Report(condition, await Run(engine, prompts, together));
        }

        void Report(string condition, SampledToken[][] found)
        {
            int agreeing = 0;
            List<double> gaps = [];
            for (int i = 0; i < prompts.Length; i++)
            {
                int step = 0;
                while (step < expected[i].Length && step < found[i].Length && expected[i][step].Token == found[i][step].Token)
                    step++;
                agreeing += step;
                if (step < expected[i].Length)
                    gaps.Add(expected[i][step].TopLogprobs![0].Logprob - expected[i][step].TopLogprobs![1].Logprob);
            }

            same += agreeing;
            parted += gaps.Count;
            double agreement = agreeing / (double)(agreeing + gaps.Count);
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{condition}: {agreement:P3} of {agreeing + gaps.Count} tokens; gaps of the likeliest two where outputs part: {string.Join(", ", gaps.Select(gap => $"{gap:f3}"))}"));
            Assert.True(agreement >= LeastOfOneCondition, $"{condition}: {agreement:P3}");
        }
    }

    private static EngineOptions Options(bool isCaching = true, int chunk = 512) =>
        new() { StepTokens = chunk, Cache = new PrefixCacheOptions { Enabled = isCaching } };

    private static async Task<SampledToken[][]> Run(InferenceEngine engine, int[][] prompts, int together)
    {
        List<SampledToken[]> outputs = [];
        foreach (int[][] batch in prompts.Chunk(together))
            outputs.AddRange(await Task.WhenAll(batch.Select(prompt => Read(engine, prompt))));
        return [.. outputs];
    }

    private static async Task<SampledToken[]> Read(InferenceEngine engine, int[] prompt)
    {
        GenerationRequest request = new() { Prompt = prompt, MaxTokens = MaxTokens, Sampling = SamplingOptions.Greedy with { TopLogprobs = 2 } };
        List<SampledToken> tokens = [];
        await foreach (SampledToken token in engine.Submit(request).WithCancellation(TestContext.Current.CancellationToken))
            tokens.Add(token);
        return [.. tokens];
    }
}
