using System.Runtime.InteropServices;
using Sluice.Backends;
using Sluice.Caching.Sequences;

namespace Sluice.Engine.Scheduling;

/// <summary>A sequence's part of the step being planned: the next <paramref name="Count"/> tokens it has yet to compute.</summary>
internal readonly record struct PlannedSpan(Sequence Sequence, int Count);

/// <summary>
/// Decides who runs. Everybody is in one order (<see cref="Sequence.Compare"/>): priority, then turn, then arrival. Every step takes one token of each decoding
/// sequence, then prefill chunks in order up to the token budget, which is larger where nobody decodes. Admission goes strictly in order and preemption takes the
/// last, so nobody who runs is behind somebody of his priority who waits for memory, and the first always advances.
/// </summary>
internal sealed partial class Scheduler
{
    private static readonly Comparer<Sequence> ByService = Comparer<Sequence>.Create(Sequence.Compare);

    private readonly PrefixCache _cache;
    private readonly TimeProvider _clock;
    private readonly int _maxRunning;
    private readonly int _stepTokens;
    private readonly FairClock _turns = new();
    private readonly List<StateExport> _exports = [];
    private int _budget;

    // Both in order of service.
    private readonly List<Sequence> _running = [];
    private readonly List<Sequence> _waiting = [];

    /// <summary>
    /// Creates a scheduler; <paramref name="maxRunning"/> must not exceed <paramref name="stepTokens"/>, the most tokens of a step in which somebody decodes.
    /// </summary>
    public Scheduler(PrefixCache cache, int maxRunning, int stepTokens, TimeProvider clock)
    {
        _stepTokens = stepTokens;
        _cache = cache;
        _maxRunning = maxRunning;
        _clock = clock;
    }

    public IReadOnlyList<Sequence> Running => _running;

    public IReadOnlyList<Sequence> Waiting => _waiting;

    /// <summary>Sequences put back to wait, since the start.</summary>
    public long Preemptions { get; private set; }

    /// <summary>Sequences that waited for another to compute what both begin with, since the start.</summary>
    public long Deferrals { get; private set; }

    /// <summary>Choices that took over their prompt's pages and state from the first, since the start.</summary>
    public long Forks { get; private set; }

    public void Enqueue(Sequence sequence)
    {
        sequence.Turn = _turns.Enter(sequence.Client, EstimatedTokens(sequence));
        Wait(sequence);
    }

    /// <summary>So many tokens of the step were computed.</summary>
    public void Advance(int tokens) => _turns.Advance(tokens);

    /// <summary>Forgets a sequence that ends. Its memory must have been dealt with.</summary>
    public void Remove(Sequence sequence)
    {
        if (sequence.Status == SequenceStatus.Running)
            _running.Remove(sequence);
        else if (sequence.Status == SequenceStatus.Waiting)
            _waiting.Remove(sequence);
        if (sequence.Status is SequenceStatus.Running or SequenceStatus.Waiting)
            _turns.Leave(sequence.Client);
        sequence.Status = SequenceStatus.Finished;
    }

    /// <summary>Lets another choice of a request start with all that the first has computed; if there is no room, it waits like others.</summary>
    /// <returns>Whether it runs.</returns>
    public bool Fork(Sequence leader, Sequence follower)
    {
        follower.Turn = leader.Turn;
        _turns.Enter(follower.Client, EstimatedTokens(follower) - follower.PromptLength);
        if (_running.Count == _maxRunning || !_cache.TryFork(leader.Memory!, out SequenceMemory? memory))
        {
            Wait(follower);
            return false;
        }

        Forks++;
        follower.Prefix = leader.Prefix;
        Start(follower, memory!);
        return true;
    }

    /// <summary>Fills an empty <paramref name="batch"/> and lists its spans in the same order.</summary>
    public void Plan(StepBatch batch, List<PlannedSpan> planned)
    {
        foreach (Sequence sequence in _running)
            sequence.ComputedAfterStep = sequence.Computed;
        AdmitUrgent();
        LookForProviders();

        // By index: making room preempts from the end of the list, at most this very sequence.
        for (int i = 0; i < _running.Count; i++)
        {
            Sequence sequence = _running[i];
            if (sequence.Remaining == 1 && MakeRoom(sequence))
                Add(sequence, 1, batch, planned);
        }

        _budget = planned.Count > 0 ? Math.Min(_stepTokens, batch.MaxTokens) : batch.MaxTokens;
        foreach (Sequence sequence in _running)
        {
            if (sequence.Remaining > 1)
                AddChunk(sequence, batch, planned);
        }

        Admit(batch, planned);
    }

    private static int EstimatedTokens(Sequence sequence) => sequence.PromptLength + Math.Min(sequence.MaxLength - sequence.PromptLength, 512);

    private static void Insert(List<Sequence> ordered, Sequence sequence)
    {
        int at = ordered.BinarySearch(sequence, ByService);
        ordered.Insert(at < 0 ? ~at : at, sequence);
    }

    private void Wait(Sequence sequence)
    {
        sequence.Status = SequenceStatus.Waiting;
        Insert(_waiting, sequence);
    }

    private void Start(Sequence sequence, SequenceMemory memory)
    {
        sequence.Memory = memory;
        sequence.ComputedAfterStep = memory.Computed;
        sequence.Provider = null;
        sequence.Status = SequenceStatus.Running;
        sequence.AdmittedAt ??= _clock.GetTimestamp();
        Insert(_running, sequence);
    }

    private void AddChunk(Sequence sequence, StepBatch batch, List<PlannedSpan> planned)
    {
        int budget = _budget - batch.TokenCount;
        if (budget > 0)
            Add(sequence, Math.Min(sequence.Remaining, budget), batch, planned);
    }

    private void Add(Sequence sequence, int count, StepBatch batch, List<PlannedSpan> planned)
    {
        SequenceMemory memory = sequence.Memory!;
        int computed = memory.Computed;
        _exports.Clear();
        while (sequence.TryTakePlanned(computed + count, out var checkpoint))
        {
            int slot = checkpoint.Position > computed ? _cache.TryReserve(memory, checkpoint) : -1;
            if (slot >= 0)
                _exports.Add(new StateExport(checkpoint.Position - computed, slot));
        }

        // Pages may be moved until the step begins, in place: the batch sees that.
        batch.Add(
            sequence.Tokens.Slice(computed, count),
            computed,
            memory.LiveSlot,
            memory.PageTable,
            count == sequence.Remaining ? LogitsWanted.Last : LogitsWanted.None,
            CollectionsMarshal.AsSpan(_exports));
        sequence.ComputedAfterStep = computed + count;
        planned.Add(new PlannedSpan(sequence, count));
    }

    /// <summary>Preempts from the end of the order until a decoding sequence can grow; false if it was itself the last.</summary>
    private bool MakeRoom(Sequence sequence)
    {
        while (!_cache.TryGrow(sequence.Memory!, sequence.Length))
        {
            Sequence last = _running[^1];
            Preempt(last);
            if (last == sequence)
                return false;
        }

        return true;
    }

    /// <summary>Back to waiting. What it computed goes to the tree, so that it resumes as a hit unless somebody needs the memory.</summary>
    private void Preempt(Sequence sequence)
    {
        _running.Remove(sequence);
        _cache.Finish(sequence.Memory!, sequence.Tokens);
        sequence.Memory = null;
        Wait(sequence);
        Preemptions++;
    }
}
