using Sluice.Core;
using Sluice.Engine.Scheduling;

namespace Sluice.Engine;

/// <content>How sequences come and end.</content>
internal sealed partial class EngineLoop
{
    /// <summary>Adds a submitted sequence, with the other choices of its request.</summary>
    public void Accept(Sequence sequence)
    {
        foreach (Sequence follower in sequence.Followers ?? [])
        {
            follower.Status = SequenceStatus.Following;
            follower.Leader = sequence;
        }

        _scheduler.Enqueue(sequence);
        for (int i = (sequence.Followers?.Count ?? 0) - 1; i >= 0; i--)
        {
            if (sequence.Followers![i].CancelRequested)
                CancelNow(sequence.Followers[i]);
        }

        if (sequence.CancelRequested)
            CancelNow(sequence);
    }

    /// <summary>Ends a sequence whose caller gave up; nothing if it has ended. One that has not come yet will end when it does.</summary>
    public void Cancel(Sequence sequence)
    {
        sequence.CancelRequested = true;
        if (sequence.Status is not (SequenceStatus.Submitted or SequenceStatus.Finished))
            CancelNow(sequence);
    }

    /// <summary>Ends all sequences: cancelled, or failed with <paramref name="error"/>.</summary>
    public void EndAll(SluiceException? error)
    {
        FinishReason reason = error is null ? FinishReason.Cancelled : FinishReason.Failed;
        while (HasWork)
        {
            Sequence last = _scheduler.Waiting.Count > 0 ? _scheduler.Waiting[^1] : _scheduler.Running[^1];
            foreach (Sequence follower in TakeFollowers(last))
                Finish(follower, reason, error);
            Finish(last, reason, error);
        }
    }

    /// <summary>
    /// Tells every caller that the engine itself is broken. Touches neither scheduler nor memory, which can no longer be trusted.
    /// </summary>
    public void Abandon(SluiceException error)
    {
        foreach (Sequence sequence in _scheduler.Running.Concat(_scheduler.Waiting))
            Refuse(sequence, error);
    }

    /// <summary>Ends a sequence that never came to the scheduler, and those that follow it.</summary>
    public void Refuse(Sequence sequence, SluiceException error)
    {
        foreach (Sequence follower in TakeFollowers(sequence))
            Report(follower, FinishReason.Failed, error);
        Report(sequence, FinishReason.Failed, error);
    }

    private void CancelNow(Sequence sequence)
    {
        Sequence? heir = Disinherit(sequence);
        Finish(sequence, FinishReason.Cancelled);
        if (heir is not null)
            _scheduler.Enqueue(heir);
    }

    private static List<Sequence> TakeFollowers(Sequence sequence)
    {
        List<Sequence> followers = sequence.Followers ?? [];
        sequence.Followers = null;
        return followers;
    }

    /// <summary>Takes a sequence out of its request; if others follow it, the first of them is to lead.</summary>
    private static Sequence? Disinherit(Sequence sequence)
    {
        sequence.Leader?.Followers!.Remove(sequence);
        sequence.Leader = null;
        List<Sequence> followers = TakeFollowers(sequence);
        if (followers.Count == 0)
            return null;
        Sequence heir = followers[0];
        followers.RemoveAt(0);
        heir.Leader = null;
        heir.Followers = followers;
        foreach (Sequence follower in followers)
            follower.Leader = heir;
        return heir;
    }

    /// <summary>Ends a sequence and gives the cache what it computed.</summary>
    private void Finish(Sequence sequence, FinishReason reason, SluiceException? error = null)
    {
        if (sequence.Memory is { } memory)
            _cache.Finish(memory, sequence.Tokens);
        End(sequence, reason, error);
    }

    /// <summary>Ends a sequence whose results are not to be trusted: the cache takes nothing, and takes back what it was given.</summary>
    private void Fail(Sequence sequence, SluiceException error)
    {
        if (sequence.Memory is { } memory)
            _cache.Fail(memory, sequence.Tokens);
        End(sequence, FinishReason.Failed, error);
    }

    private void FailWithFollowers(Sequence sequence, SluiceException error)
    {
        foreach (Sequence follower in TakeFollowers(sequence))
            End(follower, FinishReason.Failed, error);
        Fail(sequence, error);
    }

    private void End(Sequence sequence, FinishReason reason, SluiceException? error)
    {
        sequence.Memory = null;
        _scheduler.Remove(sequence);
        Report(sequence, reason, error);
    }

    private void Report(Sequence sequence, FinishReason reason, SluiceException? error)
    {
        Tell(); // the last token before the end
        sequence.Registration.Unregister();
        long now = _clock.GetTimestamp();
        long admitted = sequence.AdmittedAt ?? now;
        long first = sequence.FirstTokenAt ?? now;
        var usage = new GenerationUsage(
            sequence.PromptLength,
            sequence.OutputLength,
            _clock.GetElapsedTime(sequence.SubmittedAt, admitted),
            _clock.GetElapsedTime(admitted, first),
            _clock.GetElapsedTime(first, now))
        {
            Prefix = sequence.Prefix,
        };
        var completion = new Completion(reason, usage, error);
        sequence.Stream.Finish(completion);
        _onFinished(sequence);
        _meters.Finished(completion, wasAdmitted: sequence.AdmittedAt is not null);
    }
}
