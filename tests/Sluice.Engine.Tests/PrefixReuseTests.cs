using Sluice.Backends;
using Sluice.Caching.Sequences;
using Sluice.Caching.Tree;
using Sluice.Engine.Sampling;
using Sluice.Testing;
using Sluice.Text;

namespace Sluice.Engine.Tests;

/// <summary>What requests reuse of each other, by what the model is asked to compute.</summary>
public sealed class PrefixReuseTests
{
    [Fact]
    public void The_next_turn_computes_what_is_new_alone()
    {
        using var run = new Run();
        int[] turn = [.. Enumerable.Range(0, 100).Select(i => i % 61)];
        int[] answer = run.Generate(turn, 20);
        int[] next = [.. turn, .. answer, 7, 8, 9];
        int before = run.TokensComputed;
        GenerationStream stream = run.Engine.Submit(InferenceEngineTests.Greedy(next, 5));
        run.Drain();
        Assert.Equal(FakeModel.Continue(next, 5), Run.Read(stream));

        // The last token of the first answer was never computed.
        PrefixUse prefix = Run.UsageOf(stream).Prefix;
        Assert.Equal(new PrefixUse(119, 119, 119, MissReason.None), prefix);
        Assert.Equal(next.Length - 119 + 4, run.TokensComputed - before);
    }

    [Fact]
    public void The_same_prompt_again_computes_its_last_token()
    {
        using var run = new Run();
        int[] prompt = [.. Enumerable.Range(0, 600).Select(i => (i * 7) % 61)];
        _ = run.Generate(prompt, 3);
        int before = run.TokensComputed;
        Assert.Equal(FakeModel.Continue(prompt, 3), run.Generate(prompt, 3));
        Assert.Equal(3, run.TokensComputed - before);
    }

    [Fact]
    public void Salts_share_nothing_and_say_so()
    {
        using var run = new Run();
        int[] prompt = [.. Enumerable.Range(0, 100).Select(i => i % 61)];
        _ = run.Generate(prompt, 3);
        GenerationStream stream = run.Engine.Submit(InferenceEngineTests.Greedy(prompt, 3) with { CacheSalt = "another" });
        run.Drain();
        PrefixUse prefix = Run.UsageOf(stream).Prefix;
        Assert.Equal(new PrefixUse(0, 0, 0, MissReason.Salt) { KeptTokens = prefix.KeptTokens }, prefix);
        Assert.InRange(prefix.KeptTokens, 1, prompt.Length);
    }

    [Fact]
    public void Prompts_that_branch_share_their_beginning_from_the_second_sighting()
    {
        using var run = new Run();
        int[] system = [.. Enumerable.Range(0, 200).Select(i => i % 61)];
        _ = run.Generate([.. system, 1, 2, 3], 2);
        _ = run.Generate([.. system, 4, 5, 6], 2);
        Assert.Equal(200, run.Cached([.. system, 7, 8, 9]));
        using var known = new Run();
        var structure = new PromptStructure { TurnStarts = [200], GenerationPrefix = 203 };
        _ = known.Generate([.. system, 1, 2, 3], 2, structure);
        Assert.Equal(200, known.Cached([.. system, 4, 5, 6]));
    }

    [Fact]
    public void Concurrent_siblings_wait_for_the_first_and_compute_the_common_part_once()
    {
        using var run = new Run(new EngineOptions { StepTokens = 64 });
        int[] system = [.. Enumerable.Range(0, 500).Select(i => (i * 3) % 61)];
        List<GenerationStream> streams = [];
        for (int i = 0; i < 10; i++)
            streams.Add(run.Engine.Submit(InferenceEngineTests.Greedy([.. system, i, i + 1, i + 2], 4)));
        run.Drain();
        for (int i = 0; i < 10; i++)
        {
            Assert.Equal(FakeModel.Continue([.. system, i, i + 1, i + 2], 4), Run.Read(streams[i]));
            Assert.Equal(i == 0 ? 0 : 500, Run.UsageOf(streams[i]).CachedTokens);
        }

        Assert.Equal(500 + (10 * (3 + 3)), run.TokensComputed);
        Assert.Equal(9, run.Engine.Scheduler.Deferrals);
    }

    [Fact]
    public void A_sibling_whose_first_is_cancelled_goes_on_by_itself()
    {
        using var run = new Run(new EngineOptions { StepTokens = 64 });
        int[] prompt = [.. Enumerable.Range(0, 500).Select(i => (i * 3) % 61)];
        GenerationStream first = run.Engine.Submit(InferenceEngineTests.Greedy(prompt, 4));
        GenerationStream second = run.Engine.Submit(InferenceEngineTests.Greedy(prompt, 4));
        run.Engine.Step();
        run.Engine.Step();
        first.Cancel();
        run.Drain();
        Assert.Equal(FakeModel.Continue(prompt, 4), Run.Read(second));
        Assert.Equal(128, Run.UsageOf(second).CachedTokens);
    }

    [Fact]
    public void Choices_compute_their_prompt_once_and_draw_each_their_own()
    {
        using var run = new Run();
        int[] prompt = [.. Enumerable.Range(0, 100).Select(i => i % 61)];
        var request = new GenerationRequest { Prompt = prompt, MaxTokens = 10, Sampling = new SamplingOptions { Seed = 4, Temperature = 3 } };
        IReadOnlyList<GenerationStream> streams = run.Engine.Submit(request, choices: 5);
        run.Drain();
        List<int[]> outputs = [.. streams.Select(Run.Read)];
        Assert.Equal(5, outputs.Select(o => string.Join(',', o)).Distinct().Count());
        Assert.Equal(100 + (5 * 9), run.TokensComputed);
        Assert.Equal(4, run.Engine.Scheduler.Forks);

        // The first is what the request alone would give.
        GenerationStream alone = run.Engine.Submit(request);
        run.Drain();
        Assert.Equal(outputs[0], Run.Read(alone));
    }

    [Fact]
    public void A_checkpoint_inside_a_chunk_does_not_shorten_it()
    {
        using var run = new Run();
        int[] prompt = [.. Enumerable.Range(0, 400).Select(i => i % 61)];
        _ = run.Generate(prompt, 1, new PromptStructure { TurnStarts = [130, 250], LastUserTurn = 250, GenerationPrefix = 390 });
        Assert.Equal([400], run.Spans);
        foreach (int position in new[] { 130, 250, 390 })
            Assert.Equal(position, run.Cached([.. prompt[..(position + 5)], 60, 60, 60]));
    }

    [Fact]
    public void With_the_cache_off_nothing_is_kept()
    {
        using var run = new Run(new EngineOptions { Cache = new PrefixCacheOptions { Enabled = false } });
        int[] prompt = [.. Enumerable.Range(0, 100).Select(i => i % 61)];
        _ = run.Generate(prompt, 3);
        GenerationStream stream = run.Engine.Submit(InferenceEngineTests.Greedy(prompt, 3));
        run.Drain();
        Assert.Equal(new PrefixUse(0, 0, 0, MissReason.Disabled), Run.UsageOf(stream).Prefix);
        CacheUse use = run.Engine.Status.Cache;
        Assert.Equal(use.TotalBytes, use.FreeBytes);
    }

    [Fact]
    public async Task A_snapshot_shows_the_tree_and_clearing_empties_it()
    {
        using var run = new Run();
        int[] prompt = [.. Enumerable.Range(0, 100).Select(i => i % 61)];
        _ = run.Generate(prompt, 3);
        _ = run.Generate(prompt, 3);
        CacheSnapshot snapshot = await run.Engine.SnapshotCacheAsync(cancellation: TestContext.Current.CancellationToken);
        Assert.Equal(0.495, snapshot.Use.HitRate, 3);
        Assert.Equal(102, snapshot.Nodes.Sum(n => n.Tokens));
        NodeDescription reused = Assert.Single(snapshot.Nodes, n => n.Uses > 0);
        Assert.Equal((99, true, true, (CheckpointReason?)CheckpointReason.PromptEnd), (reused.Start + reused.Tokens, reused.HasKv, reused.HasState, reused.Reason));

        Assert.True(await run.Engine.ClearCacheAsync(TestContext.Current.CancellationToken) > 0);
        CacheUse use = run.Engine.Status.Cache;
        Assert.Equal((use.TotalBytes, 0), (use.FreeBytes, use.Nodes));
        Assert.Equal(0, run.Cached(prompt));
    }

    /// <summary>An engine driven by hand, and what it asked of the model.</summary>
    private sealed class Run : IDisposable
    {
        private readonly FakeModel _model;

        public Run(EngineOptions? options = null)
        {
            _model = new FakeModel(superblocks: 400)
            {
                OnForward = batch =>
                {
                    TokensComputed += batch.TokenCount;
                    foreach (SequenceSpan span in batch.Sequences)
                        Spans.Add(span.Count);
                },
            };
            Engine = InferenceEngine.CreateStepped(_model, options);
        }

        public InferenceEngine Engine { get; }

        public int TokensComputed { get; private set; }

        public List<int> Spans { get; } = [];

        public int[] Generate(int[] prompt, int count, PromptStructure? structure = null)
        {
            GenerationStream stream = Engine.Submit(InferenceEngineTests.Greedy(prompt, count) with { Structure = structure });
            Drain();
            return Read(stream);
        }

        public int Cached(int[] prompt)
        {
            GenerationStream stream = Engine.Submit(InferenceEngineTests.Greedy(prompt, 1));
            Drain();
            return UsageOf(stream).CachedTokens;
        }

        public void Drain()
        {
            while (Engine.Step())
                Engine.CheckIntegrity();
            Engine.CheckIntegrity();
        }

        public static GenerationUsage UsageOf(GenerationStream stream) => stream.Completion.Result.Usage;

        public static int[] Read(GenerationStream stream)
        {
            List<int> tokens = [];
            while (stream.TryRead(out SampledToken token))
                tokens.Add(token.Token);
            return [.. tokens];
        }

        public void Dispose() => _model.Dispose();
    }
}
