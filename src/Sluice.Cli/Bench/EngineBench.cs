using System.Diagnostics;
using Sluice.Caching.Sequences;
using Sluice.Cuda;
using Sluice.Engine;
using Sluice.Engine.Sampling;
using Sluice.Models;

namespace Sluice.Cli.Bench;

/// <summary>Time to the first token of a turn, cold and with what the cache has.</summary>
/// <param name="What">Which turn.</param>
/// <param name="PromptTokens">Tokens of its prompt.</param>
/// <param name="CachedTokens">Of those, not computed.</param>
/// <param name="Seconds">Median of the repetitions.</param>
internal sealed record TurnRow(string What, int PromptTokens, int CachedTokens, double Seconds);

/// <summary>Throughput at a number of concurrent streams.</summary>
/// <param name="Streams">Requests at a time.</param>
/// <param name="TokensPerSecond">Output tokens of all of them.</param>
/// <param name="StepSeconds">A step.</param>
/// <param name="EngineSeconds">Of it, scheduling, cache, commit and publishing.</param>
/// <param name="SamplingSeconds">Of it, reading logits and choosing tokens.</param>
/// <param name="DeviceSeconds">What a card computes of a step, by its own clock; null on the CPU.</param>
internal sealed record ConcurrencyRow(int Streams, double TokensPerSecond, double StepSeconds, double EngineSeconds, double SamplingSeconds, double? DeviceSeconds);

/// <summary>Times the engine on a model: what the prefix cache saves, what it costs, how throughput grows with concurrency.</summary>
internal sealed class EngineBench(LanguageModel model, int stepTokens, CancellationToken cancellation)
{
    private readonly Random _random = new(1);

    /// <summary>The first turn of a conversation cold, then later ones after various things have happened.</summary>
    public async Task<List<TurnRow>> TurnsAsync(int history, int turn, int others, int repeats)
    {
        Dictionary<string, List<TurnRow>> rows = new(StringComparer.Ordinal);
        for (int i = 0; i < repeats; i++)
        {
            await using InferenceEngine engine = Start(isCaching: true);
            int[] first = Tokens(history);
            (int[] answer, TurnRow cold) = await RunAsync(engine, "cold", first);
            Add(cold);
            int[] second = [.. first, .. answer, .. Tokens(turn)];
            Add((await RunAsync(engine, "turn 2", second)).Row);
            Add((await RunAsync(engine, "regenerate", second)).Row);
            Add((await RunAsync(engine, "turn 2 by another client", [.. first, .. answer, .. Tokens(turn)])).Row);

            // Last, when all code is compiled as well as it will be.
            if (i == repeats - 1 && others > 0)
                await AfterOthersAsync(engine, [.. first, .. answer]);
        }

        return [.. rows.Values.Select(same => same.OrderBy(row => row.Seconds).ElementAt(same.Count / 2))];

        // Each of the first conversations is continued after at least so many others: as many samples as repetitions.
        async Task AfterOthersAsync(InferenceEngine engine, int[] conversation)
        {
            Queue<int[]> conversations = new([conversation]);
            for (int other = 0; other < others + repeats - 1; other++)
            {
                int[] prompt = Tokens(history);
                conversations.Enqueue([.. prompt, .. (await RunAsync(engine, "other", prompt)).Answer]);
            }

            for (int sample = 0; sample < repeats; sample++)
                Add((await RunAsync(engine, $"turn 2 after {others} other conversations", [.. conversations.Dequeue(), .. Tokens(turn)])).Row);
        }

        void Add(TurnRow row)
        {
            if (!rows.TryGetValue(row.What, out List<TurnRow>? same))
                rows.Add(row.What, same = []);
            same.Add(row);
        }
    }

    /// <summary>Seconds for requests that share nothing, with the cache on and off in turn: a pair for each repetition.</summary>
    public async Task<List<(double On, double Off)>> UncachedAsync(int requests, int prompt, int outputTokens, int streams, int pairs)
    {
        _ = await UncachedAsync(isCaching: true, requests, prompt, outputTokens, streams);
        return await PairedRuns.RunAsync(pairs, isCaching => UncachedAsync(isCaching, requests, prompt, outputTokens, streams));
    }

    /// <summary>Decodes <paramref name="outputTokens"/> of <paramref name="streams"/> requests at a time; counts steps in which all of them decode.</summary>
    public async Task<ConcurrencyRow> ConcurrencyAsync(int streams, int prompt, int outputTokens)
    {
        await using InferenceEngine engine = Start(isCaching: true);

        // Long enough that the runtime has compiled what every step runs as well as it will.
        _ = await DecodeAsync(engine, streams, prompt, outputTokens);
        (Moment before, Moment after) = await DecodeAsync(engine, streams, prompt, outputTokens);
        double steps = after.Status.Steps - before.Status.Steps;
        double wall = Stopwatch.GetElapsedTime(before.At, after.At).TotalSeconds;
        double deviceSteps = after.Device.Steps - before.Device.Steps;
        EngineTimes times = after.Status.Times;
        EngineTimes earlier = before.Status.Times;
        return new ConcurrencyRow(
            streams,
            (after.Status.OutputTokens - before.Status.OutputTokens) / wall,
            wall / steps,
            (times.Engine - earlier.Engine).TotalSeconds / steps,
            (times.Sampling - earlier.Sampling).TotalSeconds / steps,
            deviceSteps == 0 ? null : (after.Device.Time - before.Device.Time).TotalSeconds / deviceSteps);
    }

    // From when all have their first token until the first has its last.
    private async Task<(Moment Before, Moment After)> DecodeAsync(InferenceEngine engine, int streams, int prompt, int outputTokens)
    {
        GenerationRequest[] requests = [.. Enumerable.Range(0, streams).Select(_ => Request(Tokens(prompt), outputTokens))];
        int begun = 0;
        int ended = 0;
        Moment before = default;
        Moment after = default;
        await Task.WhenAll(requests.Select(async request =>
        {
            int tokens = 0;
            await foreach (SampledToken token in engine.Submit(request, cancellation))
            {
                tokens++;
                if (tokens == 1 && Interlocked.Increment(ref begun) == streams)
                    before = Now();
                if (tokens == outputTokens && Interlocked.Increment(ref ended) == 1)
                    after = Now();
            }
        }));
        return (before, after);

        Moment Now() => new(Stopwatch.GetTimestamp(), engine.Status, (model.Backend as CudaBackend)?.Computed ?? default);
    }

    private readonly record struct Moment(long At, EngineStatus Status, (long Steps, TimeSpan Time) Device);

    private async Task<double> UncachedAsync(bool isCaching, int requests, int prompt, int outputTokens, int streams)
    {
        await using InferenceEngine engine = Start(isCaching);
        using SemaphoreSlim slots = new(streams);
        GenerationRequest[] all = [.. Enumerable.Range(0, requests).Select(_ => Request(Tokens(prompt), outputTokens))];
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(all.Select(async request =>
        {
            await slots.WaitAsync(cancellation);
            _ = await ReadAsync(engine.Submit(request, cancellation));
            slots.Release();
        }));
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private async Task<(int[] Answer, TurnRow Row)> RunAsync(InferenceEngine engine, string what, int[] prompt)
    {
        GenerationStream stream = engine.Submit(Request(prompt, 8), cancellation);
        int[] answer = await ReadAsync(stream);
        GenerationUsage usage = (await stream.Completion).Usage;
        return (answer, new TurnRow(what, usage.PromptTokens, usage.CachedTokens, (usage.QueueTime + usage.PrefillTime).TotalSeconds));
    }

    private InferenceEngine Start(bool isCaching) =>
        new(model, new EngineOptions { StepTokens = stepTokens, Cache = new PrefixCacheOptions { Enabled = isCaching } });

    private static GenerationRequest Request(int[] prompt, int outputTokens) =>
        new() { Prompt = prompt, MaxTokens = outputTokens, Sampling = SamplingOptions.Greedy };

    private async Task<int[]> ReadAsync(GenerationStream stream)
    {
        List<int> tokens = [];
        await foreach (SampledToken token in stream.WithCancellation(cancellation))
            tokens.Add(token.Token);
        return [.. tokens];
    }

    private int[] Tokens(int count)
    {
        int[] tokens = new int[count];
        foreach (ref int token in tokens.AsSpan())
            token = _random.Next(model.Config.VocabularySize);
        return tokens;
    }
}
