using Sluice.Backends;

namespace Sluice.Engine.Scheduling;

/// <summary>A sequence's part of the step being planned: the next <paramref name="Count"/> tokens it has yet to compute.</summary>
internal readonly record struct PlannedSpan(Sequence Sequence, int Count);

/// <summary>
/// Decides who runs: first come, first served, without exception. Every step takes one token of each decoding sequence, then
/// prefill chunks, oldest first, up to the token budget. Admission goes strictly in order of arrival and preemption takes the
/// youngest, so everyone running is older than everyone waiting, and the oldest always advances.
/// </summary>
internal sealed class Scheduler
{
    private readonly SequenceMemory _memory;
    private readonly TimeProvider _clock;
    private readonly int _maxRunning;

    // Both ascend by arrival.
    private readonly List<Sequence> _running = [];
    private readonly List<Sequence> _waiting = [];

    /// <summary>Creates a scheduler; <paramref name="maxRunning"/> must not exceed the tokens of a step.</summary>
    public Scheduler(SequenceMemory memory, int maxRunning, TimeProvider clock)
    {
        _memory = memory;
        _maxRunning = maxRunning;
        _clock = clock;
    }

    public IReadOnlyList<Sequence> Running => _running;

    public IReadOnlyList<Sequence> Waiting => _waiting;

    /// <summary>Sequences put back to wait, since the start.</summary>
    public long Preemptions { get; private set; }

    public void Enqueue(Sequence sequence)
    {
        sequence.Status = SequenceStatus.Waiting;
        _waiting.Add(sequence);
    }

    /// <summary>Forgets a sequence that ends, and takes its memory back.</summary>
    public void Remove(Sequence sequence)
    {
        if (sequence.Status == SequenceStatus.Running)
        {
            _running.Remove(sequence);
            _memory.Release(sequence);
        }
        else
        {
            _waiting.Remove(sequence);
        }

        sequence.Status = SequenceStatus.Finished;
    }

    /// <summary>Fills an empty <paramref name="batch"/> and lists its spans in the same order.</summary>
    public void Plan(StepBatch batch, List<PlannedSpan> planned)
    {
        // By index: making room preempts from the end of the list, at most this very sequence.
        for (int i = 0; i < _running.Count; i++)
        {
            Sequence sequence = _running[i];
            if (sequence.Remaining == 1 && MakeRoom(sequence))
                Add(sequence, 1, batch, planned);
        }

        foreach (Sequence sequence in _running)
        {
            if (sequence.Remaining > 1)
                AddChunk(sequence, batch, planned);
        }

        while (_waiting.Count > 0 && _running.Count < _maxRunning && batch.TokenCount < batch.MaxTokens)
        {
            // A page for each running sequence stays free: else whoever comes in is preempted again at their next page.
            Sequence next = _waiting[0];
            if (!_memory.TryAdmit(next, spare: _running.Count))
                break;
            _waiting.RemoveAt(0);
            _running.Add(next);
            next.Status = SequenceStatus.Running;
            next.AdmittedAt ??= _clock.GetTimestamp();
            AddChunk(next, batch, planned);
        }
    }

    private static void AddChunk(Sequence sequence, StepBatch batch, List<PlannedSpan> planned)
    {
        int budget = batch.MaxTokens - batch.TokenCount;
        if (budget > 0)
            Add(sequence, Math.Min(sequence.Remaining, budget), batch, planned);
    }

    private static void Add(Sequence sequence, int count, StepBatch batch, List<PlannedSpan> planned)
    {
        batch.Add(
            sequence.Tokens.Slice(sequence.Computed, count),
            sequence.Computed,
            sequence.StateSlot,
            sequence.PageTable,
            count == sequence.Remaining ? LogitsWanted.Last : LogitsWanted.None);
        planned.Add(new PlannedSpan(sequence, count));
    }

    /// <summary>Preempts, youngest first, until a decoding sequence can grow; false if it was itself the youngest.</summary>
    private bool MakeRoom(Sequence sequence)
    {
        while (!_memory.TryGrow(sequence))
        {
            Sequence youngest = _running[^1];
            _running.RemoveAt(_running.Count - 1);
            _memory.Release(youngest);
            youngest.Status = SequenceStatus.Waiting;
            _waiting.Insert(0, youngest);
            Preemptions++;
            if (youngest == sequence)
                return false;
        }

        return true;
    }
}
