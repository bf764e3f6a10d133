using System.IO.Hashing;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Time.Testing;
using Sluice.Core;
using Sluice.Testing;

namespace Sluice.Engine.Tests.Simulation;

/// <summary>
/// A whole life of an engine, derived from one seed: sizes of everything, arrivals, cancellations, NaN rows and failing steps. It
/// checks the memory after every step and each request at the end.
/// </summary>
internal sealed class SimulatedRun
{
    private readonly int _seed;
    private readonly Random _random;
    private readonly FakeModel _model;
    private readonly EngineOptions _options;
    private readonly List<SimulatedRequest> _requests = [];
    private readonly HashSet<int> _failingSteps = [];
    private readonly bool _failsAfterWriting;
    private readonly bool _hasState;
    private readonly XxHash64 _trace = new();

    public SimulatedRun(int seed, int requests = 40)
    {
        _seed = seed;
        _random = new Random(seed);
        _hasState = _random.Next(5) != 0;
        _model = new FakeModel(
            SimulatedRequest.Vocabulary,
            pages: _random.Next(1, 40),
            slots: _random.Next(1, 12),
            maxStepTokens: _random.Next(2) == 0 ? 512 : _random.Next(1, 40),
            maxLogitRows: _random.Next(1, 16),
            linearLayers: _hasState);
        _options = new EngineOptions
        {
            StepTokens = _random.Next(1, 100),
            MaxRunning = _random.Next(3) == 0 ? _random.Next(1, 8) : null,
            MaxQueued = requests,
        };
        int ticks = _random.Next(1, 150);
        for (int id = 0; id < requests; id++)
            _requests.Add(SimulatedRequest.Random(_random, id, ticks, maxPrompt: 200, maxOutput: 60));
        _failsAfterWriting = _random.Next(2) == 0;
        for (int i = _random.Next(4); i > 0; i--)
            _failingSteps.Add(_random.Next(1, 400));
    }

    public long Preemptions { get; private set; }

    public int FailedSteps { get; private set; }

    public int Ends(FinishReason reason) => _requests.Count(r => r.Stream is not null && r.Completion.Reason == reason);

    /// <summary>Runs it all, checks it all; returns a hash of everything that came out and when.</summary>
    public ulong Run()
    {
        _model.Poison = IsPoisoned;
        if (_failsAfterWriting)
            _model.OnWritten = MaybeThrow;
        else
            _model.OnForward = MaybeThrow;
        var clock = new FakeTimeProvider { AutoAdvanceAmount = TimeSpan.FromMilliseconds(1) };
        InferenceEngine engine = InferenceEngine.CreateStepped(_model, _options, clock);

        bool hasWork = true;
        for (int tick = 0; hasWork || _requests.Exists(r => r.ArrivesAt >= tick); tick++)
        {
            // Each step advances the oldest sequence, unless it fails, so the sum of all work bounds the steps.
            Check(tick < 100_000, "the run does not end");
            foreach (SimulatedRequest request in _requests.Where(r => r.ArrivesAt == tick))
                Submit(engine, request);
            List<SimulatedRequest> cancelled = [.. _requests.Where(r => r.Stream is not null && r.ArrivesAt + r.CancelAfter == tick)];
            foreach (SimulatedRequest request in cancelled)
                Cancel(request);
            hasWork = engine.Step();
            engine.CheckIntegrity();
            foreach (SimulatedRequest request in cancelled)
                Check(request.Stream!.Completion.IsCompleted, $"request {request.Id} goes on after it was cancelled");
            Trace(tick, engine);
        }

        EngineStatus status = engine.Status;
        Check(status is { Running: 0, Waiting: 0 }, "requests are left");
        Check(status.FreePages == status.Pages && status.FreeSlots == status.Slots, $"memory is left: {status}");
        foreach (SimulatedRequest request in _requests.Where(r => r.Stream is not null))
            Verify(request);
        Preemptions = engine.Preemptions;
        return _trace.GetCurrentHashAsUInt64();
    }

    private void Submit(InferenceEngine engine, SimulatedRequest request)
    {
        long needed = request.Request.Prompt.Count + (long)request.Request.MaxTokens!.Value;
        bool fits = needed - 1 <= (long)_model.Pages * 16;
        try
        {
            request.Stream = engine.Submit(request.Request, request.Cancellation.Token);
            Check(fits, $"request {request.Id} of {needed} tokens was accepted into {_model.Pages} pages");
        }
        catch (RequestException e)
        {
            Check(!fits && e.Code == "context_length_exceeded", $"request {request.Id} was refused: {e.Message}");
        }
    }

    private void Cancel(SimulatedRequest request)
    {
        if (request.Id % 2 == 0)
            request.Cancellation.Cancel();
        else
            request.Stream!.Cancel();
    }

    private bool IsPoisoned(ReadOnlySpan<int> context)
    {
        SimulatedRequest request = Find(context);
        return request.PoisonAfter is { } after && context.Length == request.Request.Prompt.Count + after;
    }

    private SimulatedRequest Find(ReadOnlySpan<int> context) => _requests[(context[0] * SimulatedRequest.Vocabulary) + context[1]];

    private void MaybeThrow(Backends.StepBatch batch)
    {
        if (!_failingSteps.Contains(_model.Steps))
            return;
        FailedSteps++;
        throw new InvalidOperationException($"step {_model.Steps} fails on purpose");
    }

    /// <summary>Takes the tokens that are out, and whether it has ended, into the trace.</summary>
    private void Trace(int tick, InferenceEngine engine)
    {
        foreach (SimulatedRequest request in _requests)
        {
            if (request.Stream is not { } stream)
                continue;
            int before = request.Output.Count;
            while (stream.TryRead(out var token))
                request.Output.Add(token);
            if (request.Output.Count != before)
                Append(tick, request.Id, request.Output.Count, request.Output[^1].Token);
        }

        Append(tick, engine.Status.FreePages, engine.Status.FreeSlots, engine.Status.Running);
    }

    private void Append(params ReadOnlySpan<int> values) => _trace.Append(MemoryMarshal.AsBytes(values));

    private void Verify(SimulatedRequest request)
    {
        var (expected, reason) = request.Expected(_hasState);
        List<int> output = [.. request.Output.Select(t => t.Token)];
        Completion completion = request.Completion;
        string what = $"request {request.Id}, {completion.Reason}, {output.Count} of {expected.Count} tokens";
        Check(output.Count <= expected.Count && output.SequenceEqual(expected.Take(output.Count)), $"{what}: not its own continuation");
        Check(completion.Usage.PromptTokens == request.Request.Prompt.Count && completion.Usage.OutputTokens == output.Count, $"{what}: usage");
        Check(completion.Usage is { QueueTime.Ticks: >= 0, PrefillTime.Ticks: >= 0, DecodeTime.Ticks: >= 0 }, $"{what}: times");
        Check(
            request.Output.TrueForAll(t => t.TopLogprobs?.Length == request.Request.Sampling.TopLogprobs && float.IsNaN(t.Logprob) != (t.TopLogprobs is not null)),
            $"{what}: log-probabilities");
        switch (completion.Reason)
        {
            case FinishReason.Stop or FinishReason.Length:
                Check(completion.Reason == reason && output.Count == expected.Count, $"{what}: should end by {reason}");
                Check(!(request.PoisonAfter < output.Count), $"{what}: a NaN went unseen");
                break;
            case FinishReason.Cancelled:
                Check(request.CancelAfter is not null, $"{what}: nobody cancelled it");
                break;
            default:
                var error = completion.Error as EngineException;
                bool byNaN = error?.Failure == EngineFailure.InvalidLogits && request.PoisonAfter == output.Count;
                bool byStep = error?.Failure == EngineFailure.StepFailed && FailedSteps > 0;
                Check(byNaN || byStep, $"{what}: failed without cause: {error?.Message}");
                break;
        }
    }

    private void Check(bool holds, string what)
    {
        if (!holds)
            Assert.Fail($"seed {_seed}: {what}");
    }
}
