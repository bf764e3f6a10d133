using System.Diagnostics.Metrics;
using Sluice.Backends;
using Sluice.Engine.Telemetry;
using Sluice.Testing;

namespace Sluice.Engine.Tests;

/// <summary>What single steps consist of.</summary>
public sealed class SteppedEngineTests
{
    [Fact]
    public void Decodes_come_first_and_prefill_takes_what_is_left_of_the_budget_in_order_of_arrival()
    {
        var steps = new List<string>();
        using var model = new FakeModel { OnForward = batch => steps.Add(Describe(batch)) };
        InferenceEngine engine = InferenceEngine.CreateStepped(model, new EngineOptions { StepTokens = 10 });
        engine.Submit(InferenceEngineTests.Greedy(new int[3], 5));
        engine.Submit(InferenceEngineTests.Greedy(new int[12], 2));
        engine.Submit(InferenceEngineTests.Greedy(new int[9], 1));
        while (engine.Step())
        {
        }

        // position+count, a star where logits are wanted
        Assert.Equal(["0+3* 0+7", "3+1* 7+5* 0+4", "4+1* 12+1* 4+5*", "5+1*", "6+1*"], steps);
    }

    [Fact]
    public void Steps_of_prompts_alone_take_more_and_keep_nobody_waiting()
    {
        var steps = new List<string>();
        using var model = new FakeModel { OnForward = batch => steps.Add(Describe(batch)) };
        InferenceEngine engine = InferenceEngine.CreateStepped(model, new EngineOptions { StepTokens = 10, PromptStepTokens = 16 });
        engine.Submit(InferenceEngineTests.Greedy(new int[20], 3));
        engine.Submit(InferenceEngineTests.Greedy([.. Enumerable.Repeat(1, 30)], 1));
        while (engine.Step())
        {
        }

        Assert.Equal(["0+16", "16+4* 0+12", "20+1* 12+9", "21+1* 21+9*"], steps);
    }

    [Fact]
    public void Nobody_overtakes_the_oldest_that_waits_for_memory()
    {
        var admitted = new List<int>();
        using var model = new FakeModel(geometry: FakeArena.GeometryOf(stateLayers: 1), superblocks: 3)
        {
            OnForward = batch =>
            {
                foreach (SequenceSpan span in batch.Sequences)
                {
                    if (span.FirstPosition == 0)
                        admitted.Add(batch.Tokens[span.FirstRow]);
                }
            },
        };
        InferenceEngine engine = InferenceEngine.CreateStepped(model);
        engine.Submit(InferenceEngineTests.Greedy([0, .. new int[30]], 8));
        engine.Submit(InferenceEngineTests.Greedy([1, .. new int[45]], 8)); // does not fit beside the first
        engine.Submit(InferenceEngineTests.Greedy([2], 2)); // would
        while (engine.Step())
        {
        }

        Assert.Equal([0, 1, 2], admitted);
    }

    [Fact]
    public void The_youngest_makes_room_and_resumes_where_it_was()
    {
        using var model = new FakeModel(superblocks: 8);
        InferenceEngine engine = InferenceEngine.CreateStepped(model);
        List<GenerationStream> streams =
            [.. Enumerable.Range(0, 3).Select(i => engine.Submit(InferenceEngineTests.Greedy([i, .. new int[14]], 60)))];
        while (engine.Step())
            engine.CheckIntegrity();

        Assert.True(engine.Preemptions > 0);
        for (int i = 0; i < 3; i++)
        {
            var tokens = new List<int>();
            while (streams[i].TryRead(out var token))
                tokens.Add(token.Token);
            Assert.Equal(FakeModel.Continue([i, .. new int[14]], 60), tokens);
        }

        InferenceEngineTests.AssertAtBaseline(engine);
    }

    [Fact]
    public void A_decoding_step_allocates_nothing()
    {
        using var model = new FakeModel(pages: 512);
        InferenceEngine engine = InferenceEngine.CreateStepped(model);
        List<GenerationStream> streams = [.. Enumerable.Range(0, 8).Select(i => engine.Submit(InferenceEngineTests.Greedy([i, i], 300)))];

        // Page tables double: not between 8 and 16 pages.
        Decode(135);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Decode(110);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Decode(int steps)
        {
            for (int i = 0; i < steps; i++)
            {
                engine.Step();
                foreach (GenerationStream stream in streams)
                {
                    while (stream.TryRead(out _))
                    {
                    }
                }
            }
        }
    }

    [Fact]
    public void Meters_count_what_happened()
    {
        using var model = new FakeModel();
        InferenceEngine engine = InferenceEngine.CreateStepped(model);
        var sums = new Dictionary<string, double>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, l) =>
        {
            if (instrument.Meter == engine.Meters.Meter)
                l.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((i, value, tags, _) => Add(i, value, tags));
        listener.SetMeasurementEventCallback<int>((i, value, tags, _) => Add(i, value, tags));
        listener.SetMeasurementEventCallback<double>((i, _, tags, _) => Add(i, 1, tags));
        listener.Start();

        engine.Submit(InferenceEngineTests.Greedy([1, 2, 3], 4));
        GenerationStream cancelled = engine.Submit(InferenceEngineTests.Greedy([1, 2], 40));
        engine.Step();
        listener.RecordObservableInstruments();
        Assert.Equal(EngineMeters.MeterName, engine.Meters.Meter.Name);
        Assert.Equal((2, 0), (sums["sluice.engine.requests.running"], sums["sluice.engine.requests.waiting"]));
        CacheUse use = engine.Status.Cache;
        Assert.Equal((2 * use.PageBytes, 2 * use.SlotBytes), (sums["sluice.memory.sequences.kv"], sums["sluice.memory.sequences.states"]));
        Assert.Equal(use.TotalBytes, sums["sluice.memory.total"]);
        Assert.Equal(use.TotalBytes - (2 * use.PageBytes) - (2 * use.SlotBytes), sums["sluice.memory.free"]);
        cancelled.Cancel();
        while (engine.Step())
        {
        }

        Assert.Equal(5, sums["sluice.engine.tokens.output"]);
        Assert.Equal(5, sums["sluice.engine.tokens.prompt"]);
        Assert.Equal(1, sums["sluice.engine.requests.finished length"]);
        Assert.Equal(1, sums["sluice.engine.requests.finished cancelled"]);
        Assert.Equal(4, sums["sluice.engine.step.duration"]);
        Assert.Equal(8, sums["sluice.engine.step.tokens"]);
        Assert.Equal(5, sums["sluice.cache.tokens.missed key_miss"]);
        Assert.Equal(0, sums["sluice.engine.tokens.cached"]);

        void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            string name = tags.IsEmpty ? instrument.Name : $"{instrument.Name} {tags[0].Value}";
            sums[name] = sums.GetValueOrDefault(name) + value;
        }
    }

    private static string Describe(StepBatch batch)
    {
        var spans = new List<string>();
        foreach (SequenceSpan span in batch.Sequences)
        {
            bool wantsLogits = batch.LogitRows.Contains(span.FirstRow + span.Count - 1);
            spans.Add($"{span.FirstPosition}+{span.Count}{(wantsLogits ? "*" : "")}");
        }

        return string.Join(' ', spans);
    }
}
