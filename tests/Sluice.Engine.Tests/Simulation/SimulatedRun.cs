using System.IO.Hashing;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Time.Testing;
using Sluice.Caching.Memory;
using Sluice.Caching.Sequences;
using Sluice.Caching.Tree;
using Sluice.Core;
using Sluice.Testing;

namespace Sluice.Engine.Tests.Simulation;

/// <summary>
/// A whole life of an engine, derived from one seed: sizes of everything, arrivals, cancellations, NaN rows and failing steps. It
/// checks the memory on the way and each request at the end.
/// </summary>
internal sealed class SimulatedRun
{
    private readonly int _seed;
    private readonly FakeModel _model;
    private readonly InferenceEngine _engine;
    private readonly List<SimulatedRequest> _requests = [];
    private readonly HashSet<int> _failingSteps = [];
    private readonly bool _isCaching;
    private readonly ulong _poisonEvery;
    private readonly XxHash64 _trace = new();
    private readonly int _checkEvery;
    private long _work;

    public SimulatedRun(int seed, int requests)
    {
        _seed = seed;

        // The books are checked after each step of some runs; in others, which are then three times as many, now and then.
        _checkEvery = seed % 4 == 0 ? 1 : 16;
        var random = new Random(seed);
        bool hasState = random.Next(5) != 0;
        _poisonEvery = random.Next(2) == 0 ? 0 : (ulong)random.Next(50, 1000);
        MemoryGeometry geometry = FakeArena.GeometryOf(hasState ? random.Next(1, 12) : 0, 1 << random.Next(4));
        int fewest = geometry.SuperblocksPerSlot + 1;
        _model = new FakeModel(
            Workload.Vocabulary,
            maxStepTokens: random.Next(2) == 0 ? 512 : random.Next(1, 40),
            maxLogitRows: random.Next(1, 16),
            geometry: geometry,
            superblocks: random.Next(3) == 0 ? fewest + random.Next(200) : fewest + random.Next(20))
        {
            PoisonHash = IsPoisoned,
            IsQueued = seed % 3 == 0,
        };
        _isCaching = random.Next(10) != 0;
        var options = new EngineOptions
        {
            StepTokens = random.Next(1, 100),
            PromptStepTokens = seed % 2 == 0 ? null : 1 + (seed % 300),
            MaxRunning = random.Next(3) == 0 ? random.Next(1, 8) : null,
            MaxQueued = 4 * requests,
            Cache = new PrefixCacheOptions
            {
                Enabled = _isCaching,
                Tree = new TreeOptions { GhostBytes = random.Next(3) == 0 ? random.Next(20_000) : 64 << 20 },
                Planner = new Caching.Planning.PlannerOptions { Spacing = random.Next(2) == 0 ? 512 : random.Next(16, 64), MinimumGain = random.Next(1, 9) },
                Checks = new MemoryChecks { Ledger = random.Next(4) == 0, Poison = random.Next(2) == 0 },
            },
        };
        var workload = new Workload(random, hasState, IsPoisoned);
        int ticks = random.Next(1, 4 * requests);
        for (int id = 0; id < requests; id++)
            _requests.Add(workload.Next(ticks));
        bool failsAfterWriting = random.Next(2) == 0;
        for (int i = random.Next(4); i > 0; i--)
            _failingSteps.Add(random.Next(1, 10 * requests));
        if (failsAfterWriting)
            _model.OnWritten = MaybeThrow;
        else
            _model.OnForward = MaybeThrow;
        _engine = InferenceEngine.CreateStepped(_model, options, new FakeTimeProvider { AutoAdvanceAmount = TimeSpan.FromMilliseconds(1) });
    }

    public Dictionary<string, long> Coverage { get; } = new(StringComparer.Ordinal);

    /// <summary>Runs it all, checks it all; returns a hash of everything that came out and when.</summary>
    public ulong Run()
    {
        try
        {
            return RunToTheEnd();
        }
        catch (Exception e) when (e is not SimulationException)
        {
            throw new SimulationException(_seed, e.Message, e);
        }
    }

    private ulong RunToTheEnd()
    {
        ILookup<int, SimulatedRequest> arrivals = _requests.ToLookup(r => r.ArrivesAt);
        ILookup<int, SimulatedRequest> cancels = _requests.Where(r => r.CancelAfter is not null).ToLookup(r => r.ArrivesAt + r.CancelAfter!.Value);
        ILookup<int, (SimulatedRequest Request, SimulatedChoice Choice)> choiceCancels = _requests
            .SelectMany(r => r.Choices.Where(c => c.CancelAfter is not null).Select(c => (r, c))).ToLookup(x => x.r.ArrivesAt + x.c.CancelAfter!.Value);
        int lastArrival = _requests.Max(r => r.ArrivesAt);
        List<SimulatedChoice> open = [];
        List<SimulatedChoice> mustEnd = [];
        bool hasWork = true;
        for (int tick = 0; hasWork || tick <= lastArrival; tick++)
        {
            // Each step advances the first in order, unless it fails, so the sum of all work bounds the steps.
            Check(tick <= lastArrival + (2 * _work) + 1000, "the run does not end");
            mustEnd.Clear();
            foreach (SimulatedRequest request in arrivals[tick])
                Submit(request, open);
            foreach (SimulatedRequest request in cancels[tick].Where(r => r.IsSubmitted))
                Cancel(request, mustEnd);
            foreach ((SimulatedRequest request, SimulatedChoice choice) in choiceCancels[tick].Where(x => x.Request.IsSubmitted))
            {
                choice.Stream!.Cancel();
                mustEnd.Add(choice);
            }

            hasWork = _engine.Step();
            if (tick % _checkEvery == 0)
                _engine.CheckIntegrity();
            Check(mustEnd.TrueForAll(c => c.Stream!.Completion.IsCompleted), "a request goes on after it was cancelled");
            Trace(tick, open);
        }

        Finish();
        return _trace.GetCurrentHashAsUInt64();
    }

    private void Submit(SimulatedRequest request, List<SimulatedChoice> open)
    {
        long needed = request.Request.Prompt.Count + (long)request.Request.MaxTokens!.Value;
        bool fits = needed <= _engine.MaxSequenceTokens;
        try
        {
            IReadOnlyList<GenerationStream> streams = _engine.Submit(request.Request, request.Choices.Length, request.Cancellation.Token);
            for (int i = 0; i < streams.Count; i++)
            {
                request.Choices[i].Stream = streams[i];
                open.Add(request.Choices[i]);
            }

            Check(fits, $"request {request.Id} of {needed} tokens was accepted");
            _work += request.Choices.Length * needed;
        }
        catch (RequestException e)
        {
            Check(!fits && e.Code == "context_length_exceeded", $"request {request.Id} was refused: {e.Message}");
        }
    }

    private static void Cancel(SimulatedRequest request, List<SimulatedChoice> mustEnd)
    {
        if (request.Id % 2 == 0)
        {
            request.Cancellation.Cancel();
        }
        else
        {
            foreach (SimulatedChoice choice in request.Choices)
                choice.Stream!.Cancel();
        }

        mustEnd.AddRange(request.Choices);
    }

    private bool IsPoisoned(ulong hash) => _poisonEvery != 0 && hash % _poisonEvery == 0;

    private void MaybeThrow(Backends.StepBatch batch)
    {
        if (!_failingSteps.Contains(_model.Steps))
            return;
        Note("failed steps", 1);
        throw new InvalidOperationException($"step {_model.Steps} fails on purpose");
    }

    /// <summary>Takes the tokens that are out, and what has ended, into the trace.</summary>
    private void Trace(int tick, List<SimulatedChoice> open)
    {
        for (int i = open.Count - 1; i >= 0; i--)
        {
            SimulatedChoice choice = open[i];
            int before = choice.Output.Count;
            bool hasEnded = choice.Stream!.Completion.IsCompleted;
            choice.Read();
            if (choice.Output.Count != before)
                Append(tick, i, choice.Output.Count, choice.Output[^1].Token);
            if (!hasEnded)
                continue;
            choice.Ends++;
            Append(tick, i, (int)choice.Completion.Reason, choice.Completion.Usage.CachedTokens);
            open.RemoveAt(i);
        }

        CacheUse use = _engine.Status.Cache;
        Append(tick, (int)use.FreeBytes, use.CachedSlots, use.CachedPages, _engine.Status.Running);
    }

    private void Append(params ReadOnlySpan<int> values) => _trace.Append(MemoryMarshal.AsBytes(values));

    /// <summary>Nothing runs, nothing is held, and what the cache has can all be given up.</summary>
    private void Finish()
    {
        EngineStatus status = _engine.Status;
        Check(status is { Running: 0, Waiting: 0, Cache: { SequencePages: 0, SequenceSlots: 0 } }, $"something is left: {status}");
        Check(_isCaching || status.Cache is { CachedPages: 0, CachedSlots: 0, Nodes: 0 }, $"the cache is off and has something: {status}");
        _engine.Cache.Clear();
        _engine.CheckIntegrity();
        HybridMemory memory = _engine.Cache.Memory;
        Check(memory.FreeSuperblocks == memory.Superblocks && memory is { PagesHeld: 0, SlotsHeld: 0 }, "memory is left");
        Check(_engine.Cache.Tree is { Nodes: 0, Leased: 0, Salts: 0 }, "the tree is not empty");

        foreach (SimulatedRequest request in _requests.Where(r => r.IsSubmitted))
        {
            foreach (SimulatedChoice choice in request.Choices)
                Verify(request, choice);
        }

        Note("preemptions", _engine.Preemptions);
        Note("deferrals", _engine.Scheduler.Deferrals);
        Note("forks", _engine.Scheduler.Forks);
        Note("cached tokens", status.Cache.Counters.CachedTokens);
        Note("evictions", status.Cache.Counters.Evicted);
        Note("skipped checkpoints", status.Cache.Counters.Skipped);
        Note("pages moved", status.Cache.Counters.PagesMoved);
    }

    private void Verify(SimulatedRequest request, SimulatedChoice choice)
    {
        Completion completion = choice.Completion;
        int[] output = [.. choice.Output.Select(t => t.Token)];
        string what = $"request {request.Id}.{choice.Index}, {completion.Reason}, {output.Length} of {choice.Expected.Length} tokens";
        Check(choice.Ends == 1, $"{what}: {choice.Ends} terminal events");
        Check(output.Length <= choice.Expected.Length && choice.Expected.AsSpan().StartsWith(output), $"{what}: not its own continuation");
        Check(completion.Usage.PromptTokens == request.Request.Prompt.Count && completion.Usage.OutputTokens == output.Length, $"{what}: usage");
        Check(completion.Usage is { QueueTime.Ticks: >= 0, PrefillTime.Ticks: >= 0, DecodeTime.Ticks: >= 0 }, $"{what}: times");
        PrefixUse prefix = completion.Usage.Prefix;
        Check(prefix.CachedTokens <= prefix.KvDepth && prefix.KvDepth <= prefix.KeyDepth && prefix.CachedTokens < request.Request.Prompt.Count, $"{what}: {prefix}");
        Check(
            choice.Output.TrueForAll(t => t.TopLogprobs?.Length == request.Request.Sampling.TopLogprobs && float.IsNaN(t.Logprob) != (t.TopLogprobs is not null)),
            $"{what}: log-probabilities");
        Note(completion.Reason.ToString(), 1);
        switch (completion.Reason)
        {
            case FinishReason.Stop or FinishReason.Length:
                Check(completion.Reason == choice.ExpectedReason && output.Length == choice.Expected.Length, $"{what}: should end by {choice.ExpectedReason}");
                break;
            case FinishReason.Cancelled:
                Check((request.CancelAfter ?? choice.CancelAfter) is not null, $"{what}: nobody cancelled it");
                break;
            default:
                var error = completion.Error as EngineException;
                bool byNaN = error?.Failure == EngineFailure.InvalidLogits && choice.ExpectedReason == FinishReason.Failed && output.Length == choice.Expected.Length;
                bool byStep = error?.Failure == EngineFailure.StepFailed && Coverage.ContainsKey("failed steps");
                Check(byNaN || byStep, $"{what}: failed without cause: {error?.Message}");
                Note(byNaN ? "NaN rows" : "lost with a step", 1);
                break;
        }
    }

    private void Note(string what, long count) => Coverage[what] = Coverage.GetValueOrDefault(what) + count;

    private void Check(bool holds, string what)
    {
        if (!holds)
            throw new SimulationException(_seed, what);
    }
}

/// <summary>A simulated run went wrong; the message says which.</summary>
internal sealed class SimulationException(int seed, string what, Exception? inner = null)
    : Exception($"seed {seed} (SLUICE_SIM_SEED={seed} replays it): {what}", inner);
