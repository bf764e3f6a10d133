using Sluice.Caching.Memory;
using Sluice.Caching.Planning;
using Sluice.Caching.Tree;
using Sluice.Core;

namespace Sluice.Caching.Sequences;

/// <summary>
/// The prefix cache as a scheduler sees it: memory, tree and planner in one, in the order of a request's life. Match, admit (which
/// restores), plan, then for each step grow, reserve, advance and publish, and at last finish. Used by one thread; moves no bytes:
/// what the device must do is in <see cref="HybridMemory.Work"/>, to be run in order before the next step.
/// </summary>
public sealed partial class PrefixCache
{
    private readonly PrefixCacheOptions _options;
    private readonly CheckpointPlanner _planner;
    private readonly List<SequenceMemory> _sequences = [];
    private readonly Stack<int> _freeIds = new();
    private readonly double _ticksPerByte;
    private int[] _scratch = [];
    private double _clock;
    private CacheCounters _counters;

    /// <summary>Creates an empty cache in <paramref name="budgetBytes"/> of device memory.</summary>
    public PrefixCache(MemoryGeometry geometry, long budgetBytes, PrefixCacheOptions? options = null)
    {
        _options = options ?? new PrefixCacheOptions();
        Memory = new HybridMemory(geometry, budgetBytes, _options.Checks);
        Tree = new PrefixTree(Memory, _options.Tree);
        _planner = new CheckpointPlanner(_options.Planner);
        _ticksPerByte = EvictionPolicy.TicksPerTurnover / ((double)Memory.Superblocks * geometry.SuperblockBytes);
    }

    /// <summary>The memory.</summary>
    public HybridMemory Memory { get; }

    /// <summary>The tree.</summary>
    public PrefixTree Tree { get; }

    /// <summary>What was done so far.</summary>
    public CacheCounters Counters => _counters with { Evicted = Tree.Evictions };

    /// <summary>Sequences that hold memory.</summary>
    public int Sequences => _sequences.Count;

    /// <summary>
    /// The clock of the cache: bytes handed out, <see cref="EvictionPolicy.TicksPerTurnover"/> for as many as the memory has. It stands still while
    /// nothing is allocated, since nothing is evicted then either.
    /// </summary>
    public long Tick => (long)_clock;

    /// <summary>Whether anything is cached.</summary>
    public bool IsEnabled => _options.Enabled;

    /// <summary>Fewest tokens a checkpoint must save over the one before it.</summary>
    public int LeastGain => _options.Planner.MinimumGain;

    private MemoryGeometry Geometry => Memory.Geometry;

    /// <summary>
    /// Finds what is known of a prompt, and keeps what can be continued from until the lease is released or admitted. Leaves at least
    /// one token to compute.
    /// </summary>
    public PrefixLease Match(string salt, ReadOnlySpan<int> tokens)
    {
        ArgumentNullException.ThrowIfNull(salt);
        return _options.Enabled
            ? Tree.Match(salt, tokens, Tick)
            : new PrefixLease(salt, tokens.Length, null) { Miss = MissReason.Disabled };
    }

    /// <summary>A lease that found nothing, for a sequence that must start afresh.</summary>
    public PrefixLease MatchNothing(string salt, ReadOnlySpan<int> tokens)
    {
        ArgumentNullException.ThrowIfNull(salt);
        return new PrefixLease(salt, tokens.Length, null) { Miss = _options.Enabled ? MissReason.Evicted : MissReason.Disabled };
    }

    /// <summary>Gives back a lease that was not admitted.</summary>
    public void Release(PrefixLease lease) => Tree.Release(lease);

    /// <summary>
    /// Makes a waiting prompt's keys known before it is computed, so that another with the same beginning sees where they part, and
    /// plans a checkpoint there.
    /// </summary>
    public void Announce(string salt, ReadOnlySpan<int> tokens)
    {
        if (_options.Enabled)
            Tree.InsertKeys(salt, tokens, Tick);
    }

    /// <summary>
    /// Starts a sequence from what a lease found: pages up to <paramref name="tokens"/> tokens and a live slot, all or nothing,
    /// evicting as needed. Full pages are shared; a page that the position runs through is copied, because the sequence will write
    /// on in it; the state is copied into the live slot. Releases the lease on success.
    /// </summary>
    /// <returns>False when there is no room, however much is evicted, or the lease is no longer valid; the lease stays held.</returns>
    public bool TryAdmit(PrefixLease lease, int tokens, out SequenceMemory? sequence)
    {
        ArgumentNullException.ThrowIfNull(lease);
        sequence = null;
        int position = lease.Position;
        int shared = position / Geometry.PageTokens;
        int fresh = Geometry.PagesFor(Math.Max(tokens, position + 1)) - shared;
        int slots = Geometry.HasStates ? 1 : 0;
        if (!PrefixTree.IsValid(lease) || !TryMakeRoom(fresh, slots, lease.Salt))
            return false;

        var admitted = new SequenceMemory(TakeId(), lease.Salt, position);
        Span<int> found = PagesOf(lease);
        foreach (int page in found[..shared])
        {
            Memory.SharePage(page, admitted.Holder);
            admitted.AddPage(page);
        }

        TakePages(admitted, fresh);
        if (shared < found.Length)
            Memory.Work.CopyPage(found[shared], admitted.PageTable[shared]);
        if (slots > 0)
        {
            admitted.LiveSlot = TakeSlot(admitted);
            if (position > 0)
                Memory.Work.CopySlot(lease.Slot, admitted.LiveSlot);
        }

        Tree.Refresh(lease, Tick);
        Tree.Release(lease);
        Start(admitted);
        _counters = _counters with
        {
            Admitted = _counters.Admitted + 1,
            PromptTokens = _counters.PromptTokens + lease.Length,
            CachedTokens = _counters.CachedTokens + position,
        };
        sequence = admitted;
        return true;
    }

    /// <summary>Says where the states of a prompt are to be exported; call after admission, with the lease that was admitted.</summary>
    public void Plan(SequenceMemory sequence, PrefixLease lease, in PromptLayout prompt, List<PlannedCheckpoint> plan)
    {
        RequireHeld(sequence);
        ArgumentNullException.ThrowIfNull(lease);
        ArgumentNullException.ThrowIfNull(plan);
        int free = 0, obtainable = 0;
        if (_options.Enabled && Geometry.HasStates)
        {
            free = Memory.SlotsLeftAfter(Math.Max(0, Geometry.PagesFor(prompt.Length) - sequence.PageCount));
            obtainable = free + Memory.SlotsOfTree;
        }

        _planner.Plan(prompt, sequence.Computed, lease.KeyDepth, free, obtainable, plan);
    }

    /// <summary>Gives a sequence pages up to <paramref name="tokens"/> tokens, evicting as needed; false, changing nothing, without room.</summary>
    public bool TryGrow(SequenceMemory sequence, int tokens)
    {
        RequireHeld(sequence);
        int missing = Geometry.PagesFor(tokens) - sequence.PageCount;
        if (missing <= 0)
            return true;
        if (!TryMakeRoom(missing, 0, sequence.Salt))
            return false;
        TakePages(sequence, missing);
        return true;
    }

    /// <summary>
    /// Finds a slot for the state after a planned position, which the step that passes it must write. Ascending positions, beyond
    /// <see cref="SequenceMemory.Computed"/>.
    /// </summary>
    /// <returns>The slot; -1 when there is no room: the checkpoint is skipped.</returns>
    public int TryReserve(SequenceMemory sequence, PlannedCheckpoint planned)
    {
        RequireHeld(sequence);
        ReadOnlySpan<StateCheckpoint> exports = sequence.Exports;
        int previous = exports.IsEmpty ? sequence.Computed : exports[^1].Position;
        IntegrityException.Require(
            planned.Position > previous, $"sequence {sequence.Id}: an export at {planned.Position} after {previous}");
        if (!_options.Enabled || !Geometry.HasStates)
            return PrefixNode.NoSlot;
        if (!TryMakeRoomForExport(sequence, planned))
        {
            _counters = _counters with { Skipped = _counters.Skipped + 1 };
            return PrefixNode.NoSlot;
        }

        int slot = TakeSlot(sequence);
        sequence.AddExport(new StateCheckpoint(planned.Position, slot, planned.Reason));
        return slot;
    }

    /// <summary>Gives back the slots of exports that no committed step has written: their step was abandoned.</summary>
    public void CancelExports(SequenceMemory sequence)
    {
        RequireHeld(sequence);
        DropExports(sequence, Written(sequence));
    }

    /// <summary>A step was computed: the sequence's pages and live slot hold <paramref name="tokens"/> more.</summary>
    public void Advance(SequenceMemory sequence, int tokens)
    {
        RequireHeld(sequence);
        IntegrityException.Require(
            tokens >= 0 && sequence.Computed + tokens <= (long)sequence.PageCount * Geometry.PageTokens,
            $"sequence {sequence.Id}: {tokens} tokens after {sequence.Computed} do not fit {sequence.PageCount} pages");
        sequence.Computed += tokens;
    }

    /// <summary>
    /// Gives the tree the states exported so far, with their KV: others may continue from them at once. The sequence keeps its own
    /// references and goes on writing behind them, also in a page it now shares, where nobody else writes.
    /// </summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="tokens">Its tokens, at least those computed.</param>
    public InsertOutcome Publish(SequenceMemory sequence, ReadOnlySpan<int> tokens)
    {
        RequireComputed(sequence, tokens);
        int written = Written(sequence);
        ReadOnlySpan<StateCheckpoint> exports = sequence.Exports;
        if (!_options.Enabled || (Geometry.HasStates && written == 0))
            return default;
        int to = Geometry.HasStates ? exports[written - 1].Position : sequence.Computed;
        sequence.LastCheckpoint = to;
        InsertOutcome outcome = Tree.Insert(sequence.Salt, tokens[..to], sequence.Pages, exports[..written], sequence.Holder, Tick);
        sequence.RemoveExports(0, written);
        Count(outcome);
        return outcome;
    }

    /// <summary>
    /// Ends a sequence, or preempts it, and gives the tree everything it computed: exported states, and the live state, which passes
    /// over without a copy.
    /// </summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="tokens">Its tokens, at least those computed.</param>
    public InsertOutcome Finish(SequenceMemory sequence, ReadOnlySpan<int> tokens)
    {
        RequireComputed(sequence, tokens);
        CancelExports(sequence);
        ReadOnlySpan<StateCheckpoint> exports = sequence.Exports;
        int last = exports.IsEmpty ? 0 : exports[^1].Position;
        if (_options.Enabled && Geometry.HasStates && sequence.Computed > last)
        {
            sequence.AddExport(new StateCheckpoint(sequence.Computed, sequence.LiveSlot, CheckpointReason.OutputEnd));
            sequence.LiveSlot = PrefixNode.NoSlot;
        }

        InsertOutcome outcome = Publish(sequence, tokens);
        Release(sequence);
        return outcome;
    }

    /// <summary>Ends a sequence and frees all it holds; what it published stays.</summary>
    public void Release(SequenceMemory sequence)
    {
        RequireHeld(sequence);
        DropExports(sequence, 0);
        foreach (int page in sequence.Pages)
            _ = Memory.DropPage(page, sequence.Holder);
        if (sequence.LiveSlot != PrefixNode.NoSlot)
            Memory.DropSlot(sequence.LiveSlot, sequence.Holder);
        sequence.LiveSlot = PrefixNode.NoSlot;
        sequence.Released = true;
        _freeIds.Push(sequence.Id);
        _sequences.Remove(sequence);
    }

    /// <summary>
    /// Ends a sequence whose results are not to be trusted (NaN, a fault of the device): frees all it holds, and takes back from the
    /// tree everything beyond what it was restored from.
    /// </summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="tokens">Its tokens.</param>
    public void Fail(SequenceMemory sequence, ReadOnlySpan<int> tokens)
    {
        RequireHeld(sequence);
        if (_options.Enabled)
            Tree.Forget(sequence.Salt, tokens, sequence.Restored);
        Release(sequence);
    }

    /// <summary>
    /// Starts a second sequence with all that the first has computed (n &gt; 1, beams): full pages shared, the page being written and
    /// the live state copied. All or nothing.
    /// </summary>
    public bool TryFork(SequenceMemory sequence, out SequenceMemory? fork)
    {
        RequireHeld(sequence);
        fork = null;
        int shared = sequence.Computed / Geometry.PageTokens;
        int fresh = Geometry.PagesFor(sequence.Computed + 1) - shared;
        if (!TryMakeRoom(fresh, Geometry.HasStates ? 1 : 0, sequence.Salt))
            return false;
        fork = new SequenceMemory(TakeId(), sequence.Salt, sequence.Restored)
        {
            Computed = sequence.Computed,
            LastCheckpoint = sequence.LastCheckpoint,
        };
        foreach (int page in sequence.Pages[..shared])
        {
            Memory.SharePage(page, fork.Holder);
            fork.AddPage(page);
        }

        TakePages(fork, fresh);
        if (sequence.Computed % Geometry.PageTokens > 0)
            Memory.Work.CopyPage(sequence.PageTable[shared], fork.PageTable[shared]);
        if (Geometry.HasStates)
        {
            fork.LiveSlot = TakeSlot(fork);
            if (sequence.Computed > 0)
                Memory.Work.CopySlot(sequence.LiveSlot, fork.LiveSlot);
        }

        Start(fork);
        return true;
    }

    /// <summary>Forgets everything that no sequence and no lease needs; returns the bytes freed.</summary>
    public long Clear()
    {
        long before = Memory.FreeBytes;
        Tree.Clear();
        return Memory.FreeBytes - before;
    }

    private static void RequireHeld(SequenceMemory sequence)
    {
        ArgumentNullException.ThrowIfNull(sequence);
        if (sequence.Released)
            throw new IntegrityException($"sequence {sequence.Id} was used after its end");
    }

    private static void RequireComputed(SequenceMemory sequence, ReadOnlySpan<int> tokens)
    {
        RequireHeld(sequence);
        IntegrityException.Require(
            tokens.Length >= sequence.Computed, $"sequence {sequence.Id}: {sequence.Computed} tokens computed, {tokens.Length} given");
    }

    private int TakeId() => _freeIds.TryPop(out int id) ? id : _sequences.Count;

    private void Start(SequenceMemory sequence) => _sequences.Add(sequence);

    /// <summary>Exports that committed steps have written: the first so many.</summary>
    private static int Written(SequenceMemory sequence)
    {
        int written = 0;
        ReadOnlySpan<StateCheckpoint> exports = sequence.Exports;
        while (written < exports.Length && exports[written].Position <= sequence.Computed)
            written++;
        return written;
    }

    private void DropExports(SequenceMemory sequence, int from)
    {
        foreach (StateCheckpoint export in sequence.Exports[from..])
            Memory.DropSlot(export.Slot, sequence.Holder);
        sequence.RemoveExports(from, sequence.Exports.Length - from);
    }

    private void Count(InsertOutcome outcome) => _counters = _counters with
    {
        Published = _counters.Published + outcome.Attached,
        Refused = _counters.Refused + outcome.Refused,
    };
}
