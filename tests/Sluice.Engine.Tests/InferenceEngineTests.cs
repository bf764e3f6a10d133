using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Testing;

namespace Sluice.Engine.Tests;

/// <summary>The engine on its own thread, as programs use it.</summary>
public sealed class InferenceEngineTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Many_callers_at_once_each_get_their_own_continuation()
    {
        using var model = new FakeModel(pages: 40, slots: 6);
        await using var engine = new InferenceEngine(model);
        await Task.WhenAll(Enumerable.Range(0, 100).Select(i => Task.Run(
            async () =>
            {
                int[] prompt = [.. Enumerable.Range(0, 1 + (i % 40)).Select(j => (i * 7 + j) % 61)];
                int count = 1 + (i % 50);
                Assert.Equal(FakeModel.Continue(prompt, count), await Collect(engine.Submit(Greedy(prompt, count))));
            },
            Cancellation)));
        AssertAtBaseline(engine);
    }

    [Fact]
    public async Task A_stop_token_is_the_last_of_the_output()
    {
        using var model = new FakeModel();
        await using var engine = new InferenceEngine(model);
        int[] whole = FakeModel.Continue([1, 2, 3], 30);
        GenerationStream stream = engine.Submit(Greedy([1, 2, 3], 30) with { StopTokens = [whole[6], 10_000] });
        List<int> tokens = await Collect(stream);
        Assert.Equal(whole[..(Array.IndexOf(whole, whole[6]) + 1)], tokens);
        Completion completion = await stream.Completion;
        Assert.Equal(FinishReason.Stop, completion.Reason);
        Assert.Equal(3, completion.Usage.PromptTokens);
        Assert.Equal(tokens.Count, completion.Usage.OutputTokens);
        Assert.Equal(tokens.Count + 3, completion.Usage.TotalTokens);
    }

    [Fact]
    public async Task Without_max_tokens_it_runs_to_what_model_and_memory_allow()
    {
        using var small = new FakeModel(geometry: FakeArena.GeometryOf(stateLayers: 1, pagesPerSuperblock: 2), superblocks: 2);
        await using var engine = new InferenceEngine(small);
        Assert.Equal(33, engine.MaxSequenceTokens);
        Assert.Equal(FakeModel.Continue([5, 6], 31), await Collect(engine.Submit(Greedy([5, 6], null))));

        using var shortContext = new FakeModel(maxPositions: 20);
        await using var other = new InferenceEngine(shortContext);
        GenerationStream stream = other.Submit(Greedy([5, 6], null));
        Assert.Equal(18, (await Collect(stream)).Count);
        Assert.Equal(FinishReason.Length, (await stream.Completion).Reason);
    }

    [Fact]
    public async Task A_cancelled_token_ends_the_request_and_gives_its_memory_back()
    {
        using var model = new FakeModel(pages: 4096, maxPositions: 60_000);
        await using var engine = new InferenceEngine(model);
        using var cancellation = new CancellationTokenSource();
        GenerationStream stream = engine.Submit(Greedy([1], null), cancellation.Token);
        var tokens = new List<int>();
        await foreach (SampledToken token in stream)
        {
            tokens.Add(token.Token);
            if (tokens.Count == 5)
                await cancellation.CancelAsync();
        }

        Completion completion = await stream.Completion;
        Assert.Equal(FinishReason.Cancelled, completion.Reason);
        Assert.Null(completion.Error);
        Assert.InRange(tokens.Count, 5, 60_000 - 2);
        Assert.Equal(FakeModel.Continue([1], tokens.Count), tokens);
        AssertAtBaseline(engine);
    }

    [Fact]
    public async Task A_token_cancelled_before_submission_ends_the_request_unstarted()
    {
        using var model = new FakeModel();
        await using var engine = new InferenceEngine(model);
        GenerationStream stream = engine.Submit(Greedy([1], 10), new CancellationToken(canceled: true));
        Assert.Empty(await Collect(stream));
        Assert.Equal(FinishReason.Cancelled, (await stream.Completion).Reason);
    }

    [Fact]
    public async Task Leaving_the_enumeration_cancels()
    {
        using var model = new FakeModel(pages: 4096, maxPositions: 60_000);
        await using var engine = new InferenceEngine(model);
        GenerationStream stream = engine.Submit(Greedy([1], null));
        await foreach (SampledToken token in stream)
            break;
        Assert.Equal(FinishReason.Cancelled, (await stream.Completion).Reason);

        GenerationStream disposed = engine.Submit(Greedy([1], null));
        await disposed.DisposeAsync();
        Assert.True(disposed.Completion.IsCompleted);
        AssertAtBaseline(engine);
    }

    [Fact]
    public async Task Failed_logits_fail_their_request_and_throw_at_its_reader_alone()
    {
        using var model = new FakeModel { Poison = context => context[0] == 13 && context.Length == 6 };
        await using var engine = new InferenceEngine(model);
        GenerationStream healthy = engine.Submit(Greedy([1, 2], 40));
        GenerationStream sick = engine.Submit(Greedy([13, 2], 40));
        var tokens = new List<int>();
        var error = await Assert.ThrowsAsync<EngineException>(async () =>
        {
            await foreach (SampledToken token in sick)
                tokens.Add(token.Token);
        });
        Assert.Equal(EngineFailure.InvalidLogits, error.Failure);
        Assert.Equal(FakeModel.Continue([13, 2], 4), tokens);
        Assert.Same(error, (await sick.Completion).Error);
        Assert.Equal(FakeModel.Continue([1, 2], 40), await Collect(healthy));
        AssertAtBaseline(engine);
    }

    [Fact]
    public async Task A_failed_step_fails_its_requests_and_the_engine_goes_on()
    {
        using var model = new FakeModel();
        model.OnForward = _ =>
        {
            if (model.Steps == 3)
                throw new BackendException("the device is out of luck");
        };
        await using var engine = new InferenceEngine(model);
        GenerationStream unlucky = engine.Submit(Greedy([1, 2], 40));
        var error = await Assert.ThrowsAsync<EngineException>(async () => await Collect(unlucky));
        Assert.Equal(EngineFailure.StepFailed, error.Failure);
        Assert.Contains("out of luck", error.Message, StringComparison.Ordinal);
        Assert.Equal(FakeModel.Continue([1, 2], 40), await Collect(engine.Submit(Greedy([1, 2], 40))));
        AssertAtBaseline(engine);
    }

    [Fact]
    public async Task A_lost_device_is_told_to_everybody_and_nothing_more_is_taken()
    {
        using var model = new FakeModel(pages: 4096, maxPositions: 60_000);
        model.OnForward = _ =>
        {
            if (model.Steps == 30)
                throw new BackendException("it is gone") { IsDeviceLost = true };
        };
        await using var engine = new InferenceEngine(model, new EngineOptions { MaxRunning = 1 });
        GenerationStream running = engine.Submit(Greedy([1], null));
        GenerationStream waiting = engine.Submit(Greedy([2], null));
        Assert.Contains("gone", (await Assert.ThrowsAsync<EngineException>(async () => await Collect(running))).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<EngineException>(async () => await Collect(waiting));
        Assert.False(engine.Status.Accepting);
        Assert.Contains("gone", Assert.Throws<EngineException>(() => engine.Submit(Greedy([3], 1))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bug_in_the_engine_itself_is_told_to_everybody()
    {
        using var model = new FakeModel(pages: 4096, maxPositions: 60_000);
        var clock = new BreakingClock();
        await using var engine = new InferenceEngine(model, new EngineOptions { MaxRunning = 1 }, clock);
        GenerationStream running = engine.Submit(Greedy([1], null));
        GenerationStream waiting = engine.Submit(Greedy([2], null));
        clock.IsBroken = true;
        Assert.Equal(EngineFailure.StepFailed, (await Assert.ThrowsAsync<EngineException>(async () => await Collect(running))).Failure);
        await Assert.ThrowsAsync<EngineException>(async () => await Collect(waiting));
        Assert.False(engine.Status.Accepting);
        Assert.Contains("broken", Assert.Throws<EngineException>(() => engine.Submit(Greedy([3], 1))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task One_request_too_many_is_refused_until_there_is_room()
    {
        using var model = new FakeModel(pages: 4096, maxPositions: 60_000);
        await using var engine = new InferenceEngine(model, new EngineOptions { MaxRunning = 2, MaxQueued = 3 });
        List<GenerationStream> streams = [.. Enumerable.Range(0, 5).Select(i => engine.Submit(Greedy([i], null)))];
        var error = Assert.Throws<EngineException>(() => engine.Submit(Greedy([9], 1)));
        Assert.Equal(EngineFailure.Overloaded, error.Failure);
        await streams[1].DisposeAsync();
        Assert.Equal(FakeModel.Continue([9], 1), await WithOneGone(engine, streams));
    }

    [Fact]
    public async Task Disposing_lets_accepted_requests_finish_and_takes_no_more()
    {
        using var model = new FakeModel();
        var engine = new InferenceEngine(model);
        List<GenerationStream> streams = [.. Enumerable.Range(0, 20).Select(i => engine.Submit(Greedy([i], 100)))];
        ValueTask disposal = engine.DisposeAsync();
        Assert.Equal(EngineFailure.ShuttingDown, Assert.Throws<EngineException>(() => engine.Submit(Greedy([1], 1))).Failure);
        await disposal;
        for (int i = 0; i < streams.Count; i++)
            Assert.Equal(FakeModel.Continue([i], 100), await Collect(streams[i]));
        await engine.DisposeAsync();
    }

    [Fact]
    public async Task Disposing_cancels_what_does_not_finish_in_time()
    {
        using var model = new FakeModel(pages: 4096, maxPositions: 60_000);
        var engine = new InferenceEngine(model, new EngineOptions { DrainTimeout = TimeSpan.FromMilliseconds(20), MaxRunning = 1 });
        GenerationStream running = engine.Submit(Greedy([1], null));
        GenerationStream waiting = engine.Submit(Greedy([2], null));
        await engine.DisposeAsync();
        Assert.Equal(FinishReason.Cancelled, (await running.Completion).Reason);
        Assert.Equal(FinishReason.Cancelled, (await waiting.Completion).Reason);
        AssertAtBaseline(engine);
    }

    public static TheoryData<GenerationRequest, string?, string> Refused => new()
    {
        { Greedy([], 1), "prompt", "invalid_value" },
        { Greedy([1, 61], 1), "prompt", "invalid_value" },
        { Greedy([-1], 1), "prompt", "invalid_value" },
        { Greedy([1], 0), "max_tokens", "invalid_value" },
        { Greedy([1], -5), "max_tokens", "invalid_value" },
        { Greedy([1], 100), null, "context_length_exceeded" },
        { Greedy([1], int.MaxValue), null, "context_length_exceeded" },
        { Greedy(new int[100], null), null, "context_length_exceeded" },
        { Greedy([1], 1) with { Sampling = new SamplingOptions { LogitBias = [new(61, 1)] } }, "logit_bias", "invalid_value" },
    };

    [Theory]
    [MemberData(nameof(Refused), DisableDiscoveryEnumeration = true)]
    public async Task Requests_that_can_never_run_are_refused_at_once(GenerationRequest request, string? parameter, string code)
    {
        using var model = new FakeModel(maxPositions: 100);
        await using var engine = new InferenceEngine(model);
        var error = Assert.Throws<RequestException>(() => engine.Submit(request));
        Assert.Equal(parameter, error.Parameter);
        Assert.Equal(code, error.Code);
        Assert.Equal(99, (await Collect(engine.Submit(Greedy([1], 99)))).Count);
    }

    [Fact]
    public async Task A_generation_is_enumerated_once()
    {
        using var model = new FakeModel();
        await using var engine = new InferenceEngine(model);
        GenerationStream stream = engine.Submit(Greedy([1], 2));
        _ = await Collect(stream);
        Assert.Throws<InvalidOperationException>(() => stream.GetAsyncEnumerator(Cancellation));
    }

    [Fact]
    public async Task A_model_without_recurrent_state_needs_no_slots()
    {
        using var model = new FakeModel(linearLayers: false);
        await using var engine = new InferenceEngine(model);
        Assert.Equal(64, engine.MaxRunning);
        Assert.Equal(FakeModel.Continue([4, 5], 20, hasState: false), await Collect(engine.Submit(Greedy([4, 5], 20))));
    }

    internal static GenerationRequest Greedy(int[] prompt, int? maxTokens) =>
        new() { Prompt = prompt, MaxTokens = maxTokens, Sampling = SamplingOptions.Greedy };

    internal static void AssertAtBaseline(InferenceEngine engine)
    {
        EngineStatus status = engine.Status;
        Assert.Equal((0, 0), (status.Running, status.Waiting));
        Assert.Equal((0, 0), (status.Cache.SequencePages, status.Cache.SequenceSlots));
    }

    private static async Task<List<int>> Collect(GenerationStream stream)
    {
        var tokens = new List<int>();
        await foreach (SampledToken token in stream.WithCancellation(Cancellation))
            tokens.Add(token.Token);
        return tokens;
    }

    private static async Task<List<int>> WithOneGone(InferenceEngine engine, List<GenerationStream> streams)
    {
        GenerationStream last = engine.Submit(Greedy([9], 1));
        foreach (GenerationStream stream in streams)
            await stream.DisposeAsync();
        return await Collect(last);
    }

    private sealed class BreakingClock : TimeProvider
    {
        public volatile bool IsBroken;

        public override long GetTimestamp() =>
            IsBroken && Thread.CurrentThread.Name == "sluice-engine" && Interlocked.Increment(ref _reads) == 1
                ? throw new InvalidOperationException("the clock is broken")
                : base.GetTimestamp();

        private int _reads;
    }
}
