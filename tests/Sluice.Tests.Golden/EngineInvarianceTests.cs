using System.Globalization;
using Sluice.Caching.Memory;
using Sluice.Caching.Sequences;
using Sluice.Engine;
using Sluice.Engine.Sampling;
using Sluice.Models;

namespace Sluice.Tests.Golden;

/// <summary>
/// Greedy outputs of the demonstration model through the engine: the same tokens alone, in any batch, in any chunks, whatever the
/// prefix cache has, after a preemption, beside somebody who gives up. <c>SLUICE_INVARIANCE_PROMPTS=200</c> takes more prompts, and
/// <c>SLUICE_POISON_REQUESTS=10000</c> more requests over poisoned memory.
/// </summary>
public sealed class EngineInvarianceTests(ITestOutputHelper output)
{
    private const int MaxTokens = 24;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Greedy_tokens_are_the_same_in_every_condition()
    {
        int[][] prompts = [.. DemoModel.Prompts().Take(Setting("SLUICE_INVARIANCE_PROMPTS", 24))];
        using DemoModel demo = new(GoldenBackends.Cpu, new ModelOptions { MaxStepTokens = 512, MaxLogitRows = 64, CacheBytes = 512 << 20 });
        int[][] expected;
        await using (InferenceEngine engine = new(demo.Model, Options(isCaching: false)))
            expected = await InTurn(engine, prompts);

        foreach (int chunk in new[] { 1, 16, 512 })
        {
            await using InferenceEngine engine = new(demo.Model, Options(isCaching: false, chunk));
            AssertSame(expected, await InTurn(engine, prompts), $"chunks of {chunk}");
        }

        foreach (int size in new[] { 2, 8, 32 })
        {
            await using InferenceEngine engine = new(demo.Model, Options(isCaching: false));
            AssertSame(expected, await Together(engine, prompts, size), $"batches of {size}");
        }

        foreach (int chunk in new[] { 1, 16, 512 })
            await WithHits(demo.Model, prompts, expected, chunk);
        await Preempted(demo.Model, prompts, expected);
        await BesideCancelled(demo.Model, prompts, expected);
        output.WriteLine($"{prompts.Length} prompts, {expected.Sum(tokens => tokens.Length)} tokens, the same in all conditions");
    }

    [Fact]
    public async Task Nobody_reads_freed_memory()
    {
        int requests = Setting("SLUICE_POISON_REQUESTS", 300);
        int[][] prompts = [.. DemoModel.Prompts().Take(Math.Min(requests, 100))];
        using DemoModel demo = new(GoldenBackends.Cpu, new ModelOptions { MaxStepTokens = 512, MaxLogitRows = 32, CacheBytes = 48 << 20 });
        int[][] expected;
        await using (InferenceEngine alone = new(demo.Model, Options(isCaching: false)))
            expected = await InTurn(alone, prompts);

        // Little memory: what is freed is used again at once. A NaN fails its request, and so this test.
        await using InferenceEngine engine = new(demo.Model, Options());
        Random random = new(1);
        for (int done = 0; done < requests;)
        {
            (int Prompt, Task<int[]> Tokens)[] batch = [.. Enumerable.Range(0, Math.Min(32, requests - done)).Select(_ =>
            {
                int prompt = random.Next(prompts.Length);
                return (prompt, Read(engine.Submit(Greedy(prompts[prompt], random.Next(1, MaxTokens)))));
            })];
            foreach ((int prompt, Task<int[]> tokens) in batch)
            {
                int[] found = await tokens;
                Assert.Equal(expected[prompt].AsSpan(0, Math.Min(found.Length, expected[prompt].Length)).ToArray(), found);
            }

            done += batch.Length;
        }

        CacheUse use = engine.Status.Cache;
        output.WriteLine($"{requests} requests, {use.Counters.Evicted} evictions, {use.HitRate:P0} of prompt tokens cached, {engine.Status.Preemptions} preemptions");
        Assert.True(requests < 300 || use.Counters.Evicted > requests, "memory was not scarce");
    }

    private static async Task WithHits(LanguageModel model, int[][] prompts, int[][] expected, int chunk)
    {
        await using InferenceEngine engine = new(model, Options(chunk: chunk));
        for (int i = 0; i < prompts.Length; i++)
        {
            // Somebody else's prompt with the same first half makes the hit partial; the same prompt again makes it full.
            int[] half = [.. prompts[i][..(prompts[i].Length / 2)], 5, 6, 7];
            _ = await Read(engine.Submit(Greedy(half, 2)));
            GenerationStream partial = engine.Submit(Greedy(prompts[i]));
            AssertSame(expected[i], await Read(partial), $"prompt {i}, partial hit, chunks of {chunk}");
            GenerationStream full = engine.Submit(Greedy(prompts[i]));
            AssertSame(expected[i], await Read(full), $"prompt {i}, full hit, chunks of {chunk}");

            // Checkpoints are at least eight tokens apart.
            Assert.InRange((await full.Completion).Usage.CachedTokens, prompts[i].Length - 8, prompts[i].Length - 1);
        }

        // Branch points are known from the second sighting, so the halves have been reused by the first of the two.
        AssertSame(expected, await Together(engine, prompts, 8), $"hits in batches, chunks of {chunk}");
        Assert.InRange(engine.Status.Cache.HitRate, 0.25, 1);
    }

    private static async Task Preempted(LanguageModel model, int[][] prompts, int[][] expected)
    {
        await using InferenceEngine engine = new(model, Options() with { MaxRunning = 1 });
        for (int i = 0; i < prompts.Length; i++)
        {
            GenerationStream low = engine.Submit(Greedy(prompts[i]));
            List<int> tokens = [];
            Task<int[]>? high = null;
            await foreach (SampledToken token in low.WithCancellation(Cancellation))
            {
                tokens.Add(token.Token);
                if (tokens.Count == 2)
                    high = Read(engine.Submit(Greedy(prompts[(i + 1) % prompts.Length], 3) with { Priority = 1 }));
            }

            if (high is not null)
                _ = await high;
            AssertSame(expected[i], [.. tokens], $"prompt {i}, preempted");
        }

        Assert.InRange(engine.Status.Preemptions, prompts.Length / 4, long.MaxValue);
    }

    private static async Task BesideCancelled(LanguageModel model, int[][] prompts, int[][] expected)
    {
        await using InferenceEngine engine = new(model, Options());
        for (int i = 0; i < prompts.Length; i++)
        {
            using CancellationTokenSource giveUp = new();
            GenerationStream cancelled = engine.Submit(Greedy([.. prompts[i], 5, 6, 7]), giveUp.Token);
            Task<int[]> kept = Read(engine.Submit(Greedy(prompts[i])));
            await foreach (SampledToken _ in cancelled)
                await giveUp.CancelAsync();
            AssertSame(expected[i], await kept, $"prompt {i}, beside one that was cancelled");
        }
    }

    private static EngineOptions Options(bool isCaching = true, int chunk = 512) => new()
    {
        StepTokens = chunk,
        Cache = new PrefixCacheOptions { Enabled = isCaching, Checks = new MemoryChecks { Poison = true } },
    };

    private static GenerationRequest Greedy(int[] prompt, int maxTokens = MaxTokens) =>
        new() { Prompt = prompt, MaxTokens = maxTokens, Sampling = SamplingOptions.Greedy };

    private static async Task<int[][]> InTurn(InferenceEngine engine, int[][] prompts)
    {
        int[][] outputs = new int[prompts.Length][];
        for (int i = 0; i < prompts.Length; i++)
            outputs[i] = await Read(engine.Submit(Greedy(prompts[i])));
        return outputs;
    }

    private static async Task<int[][]> Together(InferenceEngine engine, int[][] prompts, int size)
    {
        List<int[]> outputs = [];
        foreach (int[][] batch in prompts.Chunk(size))
            outputs.AddRange(await Task.WhenAll(batch.Select(prompt => Read(engine.Submit(Greedy(prompt))))));
        return [.. outputs];
    }

    private static async Task<int[]> Read(GenerationStream stream)
    {
        List<int> tokens = [];
        await foreach (SampledToken token in stream.WithCancellation(Cancellation))
            tokens.Add(token.Token);
        return [.. tokens];
    }

    private static void AssertSame(int[][] expected, int[][] found, string condition)
    {
        for (int i = 0; i < expected.Length; i++)
            AssertSame(expected[i], found[i], $"prompt {i}, {condition}");
    }

    private static void AssertSame(int[] expected, int[] found, string condition) =>
        Assert.True(expected.AsSpan().SequenceEqual(found), $"{condition}: {string.Join(' ', found)}, expected {string.Join(' ', expected)}");

    private static int Setting(string name, int otherwise) =>
        Environment.GetEnvironmentVariable(name) is { } value ? int.Parse(value, CultureInfo.InvariantCulture) : otherwise;
}
