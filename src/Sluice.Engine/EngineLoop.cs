using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Engine.Scheduling;
using Sluice.Engine.Telemetry;
using Sluice.Models;

namespace Sluice.Engine;

/// <summary>
/// The single-threaded heart of the engine, sole owner of scheduler and memory: plan a step, run it, sample, publish. It knows
/// neither threads nor callers, so a test can drive it step by step and always get the same trace.
/// </summary>
internal sealed class EngineLoop
{
    private readonly ILanguageModel _model;
    private readonly TimeProvider _clock;
    private readonly EngineMeters _meters;
    private readonly Action<Sequence> _onFinished;
    private readonly SequenceMemory _memory;
    private readonly Scheduler _scheduler;
    private readonly Sampler _sampler;
    private readonly StepBatch _batch;
    private readonly List<PlannedSpan> _planned = [];
    private readonly float[] _logits;
    private long _steps;

    public EngineLoop(
        ILanguageModel model, SequenceMemory memory, Scheduler scheduler, int stepTokens, TimeProvider clock, EngineMeters meters,
        Action<Sequence> onFinished)
    {
        _model = model;
        _memory = memory;
        _scheduler = scheduler;
        _clock = clock;
        _meters = meters;
        _onFinished = onFinished;
        _sampler = new Sampler(model.Config.VocabularySize);
        _batch = new StepBatch(stepTokens);
        _logits = new float[model.Config.VocabularySize];
    }

    /// <summary>Steps made.</summary>
    public long Steps => _steps;

    public bool HasWork => _scheduler.Running.Count + _scheduler.Waiting.Count > 0;

    /// <summary>Adds a submitted sequence.</summary>
    public void Accept(Sequence sequence)
    {
        if (sequence.CancelRequested)
            Finish(sequence, FinishReason.Cancelled);
        else
            _scheduler.Enqueue(sequence);
    }

    /// <summary>Ends a sequence whose caller gave up; nothing if it has ended.</summary>
    public void Cancel(Sequence sequence)
    {
        sequence.CancelRequested = true;
        if (sequence.Status is SequenceStatus.Waiting or SequenceStatus.Running)
            Finish(sequence, FinishReason.Cancelled);
    }

    /// <summary>Ends all sequences: cancelled, or failed with <paramref name="error"/>.</summary>
    public void EndAll(SluiceException? error)
    {
        FinishReason reason = error is null ? FinishReason.Cancelled : FinishReason.Failed;
        while (_scheduler.Waiting.Count > 0)
            Finish(_scheduler.Waiting[^1], reason, error);
        while (_scheduler.Running.Count > 0)
            Finish(_scheduler.Running[^1], reason, error);
    }

    /// <summary>
    /// Tells every caller that the engine itself is broken. Touches neither scheduler nor memory, which can no longer be trusted.
    /// </summary>
    public void Abandon(SluiceException error)
    {
        foreach (Sequence sequence in _scheduler.Running.Concat(_scheduler.Waiting))
            Report(sequence, FinishReason.Failed, error);
    }

    /// <summary>Ends a sequence that never came to the scheduler.</summary>
    public void Refuse(Sequence sequence, SluiceException error) => Report(sequence, FinishReason.Failed, error);

    /// <summary>One step: one token for each decoding sequence, as much prefill as the budget allows.</summary>
    public void Step()
    {
        long start = _clock.GetTimestamp();
        long preemptions = _scheduler.Preemptions;
        _batch.Clear();
        _planned.Clear();
        _scheduler.Plan(_batch, _planned);
        Debug.Assert(_planned.Count > 0, "somebody can always run: the oldest fits alone");
        int outputTokens = TryForward() ? Commit() : 0;
        _steps++;
        _meters.Step(_clock.GetElapsedTime(start), _batch.TokenCount, outputTokens, _scheduler.Preemptions - preemptions);
        if (!HasWork)
            CheckIntegrityInDebug();
    }

    /// <summary>Proves that all memory is accounted for.</summary>
    public void CheckIntegrity() => _memory.CheckIntegrity(_scheduler.Running);

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
        catch (Exception e)
        {
            foreach (PlannedSpan span in _planned)
                Finish(span.Sequence, FinishReason.Failed, StepFailed(e));
            return false;
        }
    }

    /// <summary>Moves every sequence of the step forward, samples for those that are due; returns how many tokens came of it.</summary>
    private int Commit()
    {
        int logitRow = 0;
        foreach (PlannedSpan span in _planned)
        {
            Sequence sequence = span.Sequence;
            sequence.Computed += span.Count;
            if (sequence.Remaining == 0)
                SampleNext(sequence, logitRow++);
        }

        return logitRow;
    }

    [SuppressMessage("Design", "CA1031", Justification = "one sequence's logits must not end the other requests")]
    private void SampleNext(Sequence sequence, int logitRow)
    {
        SampledToken sampled;
        try
        {
            _model.ReadLogits(logitRow, _logits);
            sampled = _sampler.Sample(_logits, sequence.Sampling);
        }
        catch (Exception e)
        {
            Finish(sequence, FinishReason.Failed, e as SluiceException ?? StepFailed(e));
            return;
        }

        sequence.Append(sampled.Token);
        sequence.FirstTokenAt ??= _clock.GetTimestamp();
        sequence.Stream.Publish(sampled);
        if (sequence.StopTokens.AsSpan().Contains(sampled.Token))
            Finish(sequence, FinishReason.Stop);
        else if (sequence.Length == sequence.MaxLength)
            Finish(sequence, FinishReason.Length);
    }

    private void Finish(Sequence sequence, FinishReason reason, SluiceException? error = null)
    {
        _scheduler.Remove(sequence);
        Report(sequence, reason, error);
    }

    private void Report(Sequence sequence, FinishReason reason, SluiceException? error)
    {
        sequence.Registration.Unregister();
        long now = _clock.GetTimestamp();
        long admitted = sequence.AdmittedAt ?? now;
        long first = sequence.FirstTokenAt ?? now;
        var usage = new GenerationUsage(
            sequence.PromptLength,
            sequence.OutputLength,
            _clock.GetElapsedTime(sequence.SubmittedAt, admitted),
            _clock.GetElapsedTime(admitted, first),
            _clock.GetElapsedTime(first, now));
        var completion = new Completion(reason, usage, error);
        sequence.Stream.Finish(completion);
        _onFinished(sequence);
        _meters.Finished(completion);
    }

    private static EngineException StepFailed(Exception e) =>
        new(EngineFailure.StepFailed, $"the step this request was part of failed: {e.Message}", e);
}
