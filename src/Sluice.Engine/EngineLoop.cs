using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Sluice.Backends;
using Sluice.Caching.Sequences;
using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Engine.Scheduling;
using Sluice.Engine.Telemetry;
using Sluice.Models;

namespace Sluice.Engine;

/// <summary>
/// The single-threaded heart of the engine, sole owner of scheduler, cache and memory: plan a step, run it, sample, publish. It knows
/// neither threads nor callers, so a test can drive it step by step and always get the same trace.
/// </summary>
internal sealed partial class EngineLoop
{
    private readonly ILanguageModel _model;
    private readonly TimeProvider _clock;
    private readonly EngineMeters _meters;
    private readonly Action<Sequence> _onFinished;
    private readonly PrefixCache _cache;
    private readonly Scheduler _scheduler;
    private readonly Sampler _sampler;
    private readonly StepBatch _batch;
    private readonly List<PlannedSpan> _planned = [];

    // Sequences that get a token in this step, each at the index of its row of logits.
    private readonly List<Sequence> _due = [];

    // Tokens that their callers have not been told of yet.
    private readonly List<(GenerationStream Stream, SampledToken Token)> _untold = [];
    private readonly LogitShortlists _shortlists;
    private readonly float[] _logits;
    private readonly ulong[] _allowed;
    private long _steps;
    private long _outputTokens;
    private long _stepTicks;
    private long _modelTicks;
    private long _samplingTicks;

    // Added to the above when the step is over, so that all of them are of the same steps.
    private (long Model, long Sampling) _ofStep;

    public EngineLoop(
        ILanguageModel model, PrefixCache cache, Scheduler scheduler, int stepTokens, TimeProvider clock, EngineMeters meters,
        Action<Sequence> onFinished)
    {
        _model = model;
        _cache = cache;
        _scheduler = scheduler;
        _clock = clock;
        _meters = meters;
        _onFinished = onFinished;
        _sampler = new Sampler(model.Config.VocabularySize);
        _batch = new StepBatch(stepTokens);
        _shortlists = new LogitShortlists(Math.Max(1, model.MaxLogitRows));
        _logits = new float[model.Config.VocabularySize];
        _allowed = new ulong[(model.Config.VocabularySize + 63) / 64];
    }

    /// <summary>Steps made.</summary>
    public long Steps => Volatile.Read(ref _steps);

    /// <summary>Tokens generated.</summary>
    public long OutputTokens => Volatile.Read(ref _outputTokens);

    /// <summary>Where the time of all steps went.</summary>
    public EngineTimes Times => new(TimeIn(ref _stepTicks), TimeIn(ref _modelTicks), TimeIn(ref _samplingTicks));

    public bool HasWork => _scheduler.Running.Count + _scheduler.Waiting.Count > 0;

    /// <summary>One step: one token for each decoding sequence, as much prefill as the budget allows.</summary>
    public void Step()
    {
        long start = _clock.GetTimestamp();
        long preemptions = _scheduler.Preemptions;
        _batch.Clear();
        _planned.Clear();
        _scheduler.Plan(_batch, _planned);
        Debug.Assert(_planned.Count > 0, "somebody can always run: the first fits alone");

        // Outside of what is caught: memory that was half moved is nobody's fault, and nothing can go on with it.
        DeviceWorkRunner.Run(_cache.Memory.Work, _model.Caches);
        AskForShortlists();
        long modelStart = _clock.GetTimestamp();
        bool isComputed = TryForward();

        // Where a device computes by itself, callers are told of the step before meanwhile: waking them takes longer than planning a step.
        Tell();
        _ofStep.Model += _clock.GetTimestamp() - modelStart;
        int outputTokens = isComputed ? Commit() : 0;
        _scheduler.Advance(_batch.TokenCount);
        Volatile.Write(ref _steps, _steps + 1);
        Volatile.Write(ref _outputTokens, _outputTokens + outputTokens);
        Volatile.Write(ref _stepTicks, _stepTicks + _clock.GetTimestamp() - start);
        Volatile.Write(ref _modelTicks, _modelTicks + _ofStep.Model);
        Volatile.Write(ref _samplingTicks, _samplingTicks + _ofStep.Sampling);
        _ofStep = default;
        if (!_model.IsQueued || !HasWork)
            Tell();
        _meters.Step(_clock.GetElapsedTime(start), _batch.TokenCount, outputTokens, _scheduler.Preemptions - preemptions);
        if (!HasWork)
            CheckIntegrityInDebug();
    }

    /// <summary>Proves that all memory is accounted for.</summary>
    public void CheckIntegrity()
    {
        _cache.CheckIntegrity();
        if (_cache.Sequences != _scheduler.Running.Count)
            throw new InvalidOperationException($"{_cache.Sequences} sequences hold memory and {_scheduler.Running.Count} run");
    }

    [Conditional("DEBUG")]
    private void CheckIntegrityInDebug() => CheckIntegrity();

    /// <summary>Runs the batch. If the model throws, the sequences of this step are lost, and only they.</summary>
    [SuppressMessage("Design", "CA1031", Justification = "whatever a device throws must not end the other requests")]
    private bool TryForward()
    {
        try
        {
            _model.Forward(_batch);
            return true;
        }
        catch (Exception e) when (!IsDeviceLost(e))
        {
            foreach (PlannedSpan span in _planned)
                FailWithFollowers(span.Sequence, StepFailed(e));
            return false;
        }
    }

    /// <summary>
    /// Moves every sequence of the step forward, gives the cache the states it exported, samples for those that are due; returns how
    /// many tokens came of it.
    /// </summary>
    private int Commit()
    {
        bool publishesAll = !_cache.Memory.Geometry.HasStates;
        _due.Clear();
        foreach (PlannedSpan span in _planned)
        {
            Sequence sequence = span.Sequence;
            SequenceMemory memory = sequence.Memory!;
            _cache.Advance(memory, span.Count);
            if (!memory.Exports.IsEmpty || (publishesAll && span.Count > 1))
                Publish(sequence, memory);
            if (sequence.Remaining == 0)
                _due.Add(sequence);
        }

        bool hasShortlists = TryReadShortlists();

        // Those whose prompt has just been computed come last in a step and first here: readers are woken in this order, and with many
        // streams the last of them waits for the others' work. A first token is waited for; a later one is a word among others.
        int outputTokens = 0;
        for (int logitRow = _due.Count - 1; logitRow >= 0; logitRow--)
        {
            Sequence sequence = _due[logitRow];
            if (sequence.Followers is { } followers)
                outputTokens += Fork(sequence, followers, logitRow);
            if (sequence.Status == SequenceStatus.Running && SampleNext(sequence, logitRow, hasShortlists))
                outputTokens++;
        }

        return outputTokens;
    }

    private void Publish(Sequence sequence, SequenceMemory memory)
    {
        if (_cache.Publish(memory, sequence.Tokens).Attached > 0 && memory.LastCheckpoint <= sequence.PromptLength)
            sequence.Prefix = sequence.Prefix with { KeptTokens = memory.LastCheckpoint };
    }

    /// <summary>The prompt of several choices is computed: each starts from it, and draws its own first token from the same logits.</summary>
    private int Fork(Sequence leader, List<Sequence> followers, int logitRow)
    {
        leader.Followers = null;
        int outputTokens = 0;
        foreach (Sequence follower in followers)
        {
            follower.Leader = null;
            if (_scheduler.Fork(leader, follower) && SampleNext(follower, logitRow, hasShortlist: false))
                outputTokens++;
        }

        return outputTokens;
    }

    /// <summary>Asks for what sampling needs of the step's rows of logits: with the step, so that the device has them by the time it is over.</summary>
    private void AskForShortlists()
    {
        _shortlists.Clear();
        foreach (PlannedSpan span in _planned)
        {
            if (span.Count == span.Sequence.Remaining)
                _sampler.Ask(_shortlists, span.Sequence.Sampling);
        }

        if (_shortlists.Count > 0)
            _batch.Shortlists = _shortlists;
    }

    /// <summary>Waits for what was asked. If it fails, so does reading rows of logits, and that tells each sequence.</summary>
    [SuppressMessage("Design", "CA1031", Justification = "each sequence is told when its own row is read")]
    private bool TryReadShortlists()
    {
        if (_due.Count == 0)
            return false;
        long start = _clock.GetTimestamp();
        try
        {
            return _model.TryReadShortlists(_shortlists);
        }
        catch (Exception e) when (!IsDeviceLost(e))
        {
            return false;
        }
        finally
        {
            // The device is waited for here.
            _ofStep.Model += _clock.GetTimestamp() - start;
        }
    }

    [SuppressMessage("Design", "CA1031", Justification = "one sequence's logits must not end the other requests")]
    private bool SampleNext(Sequence sequence, int logitRow, bool hasShortlist)
    {
        SampledToken sampled;
        long start = _clock.GetTimestamp();
        try
        {
            if (!hasShortlist || sequence.Matcher is not null || !_sampler.TrySample(_shortlists[logitRow], sequence.Sampling, out sampled))
            {
                _model.ReadLogits(logitRow, _logits);
                sampled = _sampler.Sample(_logits, sequence.Sampling, Allowed(sequence));
            }

            if (sequence.Matcher?.Accept(sampled.Token) == false)
                throw new InvalidOperationException($"the constraint refuses the token {sampled.Token} that it allowed");
            _ofStep.Sampling += _clock.GetTimestamp() - start;
        }
        catch (Exception e) when (!IsDeviceLost(e))
        {
            Fail(sequence, e as SluiceException ?? StepFailed(e));
            return false;
        }

        sequence.Append(sampled.Token);
        sequence.FirstTokenAt ??= _clock.GetTimestamp();
        _untold.Add((sequence.Stream, sampled));
        if (sequence.StopTokens.AsSpan().Contains(sampled.Token) || sequence.Matcher is { IsEnded: true })
            Finish(sequence, FinishReason.Stop);
        else if (sequence.Length == sequence.MaxLength)
            Finish(sequence, FinishReason.Length);
        return true;
    }

    /// <summary>Tells callers of their tokens, in the order in which they were made.</summary>
    private void Tell()
    {
        foreach ((GenerationStream stream, SampledToken token) in _untold)
            stream.Publish(token);
        _untold.Clear();
    }

    /// <summary>The tokens that may come next, a bit for each; empty when all may.</summary>
    private ReadOnlySpan<ulong> Allowed(Sequence sequence)
    {
        if (sequence.Matcher is not { } matcher)
            return [];
        matcher.FillMask(_allowed);
        return _allowed;
    }

    private TimeSpan TimeIn(ref long ticks) => _clock.GetElapsedTime(0, Volatile.Read(ref ticks));

    // Then nothing can go on: the engine ends, and tells everybody.
    private static bool IsDeviceLost(Exception e) => e is BackendException { IsDeviceLost: true };

    private static EngineException StepFailed(Exception e) =>
        new(EngineFailure.StepFailed, $"the step this request was part of failed: {e.Message}", e);
}
