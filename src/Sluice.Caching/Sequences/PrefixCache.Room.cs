using Sluice.Caching.Memory;
using Sluice.Caching.Planning;
using Sluice.Caching.Tree;

namespace Sluice.Caching.Sequences;

/// <content>Making room: what is evicted for whom, and when pages are moved together instead.</content>
public sealed partial class PrefixCache
{
    /// <summary>Pages are moved together, rather than checkpoints evicted, while this part of the pages' superblocks is free.</summary>
    private const double Sparse = 0.25;

    private readonly Dictionary<int, int> _moved = [];

    /// <summary>Whether these could be had if everything evictable were evicted: if not, only waiting helps.</summary>
    public bool CouldHold(int pages, int slots) =>
        Memory.CouldHold(pages + Tree.PagesKeptByLeases(), slots + (Geometry.HasStates ? Tree.Leased : 0));

    /// <summary>
    /// Moves pages together until <paramref name="superblocks"/> more are free or no more can be gained; returns how many were.
    /// Admission does it by itself when memory is sparse. Page tables change: not between filling a step's batch and its start.
    /// </summary>
    public int Compact(int superblocks)
    {
        _moved.Clear();
        int freed = Memory.Compact(superblocks, _moved);
        if (freed == 0)
            return 0;
        Tree.Renumber(_moved);
        foreach (SequenceMemory sequence in _sequences)
            PrefixTree.Renumber(sequence.Pages, _moved);
        _counters = _counters with { PagesMoved = _counters.PagesMoved + _moved.Count };
        return freed;
    }

    private bool TryMakeRoom(int pages, int slots, string salt)
    {
        if (Memory.CanHold(pages, slots))
            return true;

        // Never empty the tree for what would not fit even then.
        if (!CouldHold(pages, slots))
            return false;
        do
        {
            int missing = Memory.MissingSuperblocks(pages, slots);
            if (slots > 0 && IsSparse(missing) && Compact(missing) > 0)
                continue;
            bool evicted = (IsOverShare(salt) && Tree.TryEvict(salt)) || Tree.TryEvict();
            if (!evicted && (slots == 0 || Compact(missing) == 0))
                return false;
        }
        while (!Memory.CanHold(pages, slots));
        return true;
    }

    /// <summary>A checkpoint may take free memory, or that of one worth less than itself; a greedy salt's, only of its own.</summary>
    private bool TryMakeRoomForExport(SequenceMemory sequence, PlannedCheckpoint planned)
    {
        if (Memory.CanHold(0, 1))
            return true;
        if (planned.OnlyIfFree)
            return false;
        int missing = Memory.MissingSuperblocks(0, 1);
        if (IsSparse(missing) && Compact(missing) >= missing)
            return true;
        int previous = sequence.Exports.IsEmpty ? sequence.LastCheckpoint : sequence.Exports[^1].Position;
        double worth = Tree.WorthOf(planned.Reason, previous, planned.Position, Tick);
        return Tree.TryEvict(IsOverShare(sequence.Salt) ? sequence.Salt : null, worth) && Memory.CanHold(0, 1);
    }

    private bool IsSparse(int missing)
    {
        int perSuperblock = Geometry.PagesPerSuperblock;
        return Memory.FreePagesInPartial >= missing * perSuperblock
            && Memory.FreePagesInPartial >= Sparse * Memory.PageSuperblocks * perSuperblock;
    }

    private bool IsOverShare(string salt) =>
        Tree.Salts > 1 && Tree.SaltBytes(salt) > _options.Tree.Eviction.SaltShare * Memory.Superblocks * Geometry.SuperblockBytes;

    /// <summary>The pages that hold what a lease found; valid until the next call.</summary>
    private Span<int> PagesOf(PrefixLease lease)
    {
        Span<int> pages = Scratch(Geometry.PagesFor(lease.Position));
        Tree.CopyPages(lease, pages);
        return pages;
    }

    private Span<int> Scratch(int length)
    {
        if (_scratch.Length < length)
            _scratch = new int[Math.Max(length, _scratch.Length * 2)];
        return _scratch.AsSpan(0, length);
    }

    private void TakePages(SequenceMemory sequence, int count)
    {
        for (int i = 0; i < count; i++)
        {
            int page = Memory.TakePage(sequence.Holder);
            IntegrityException.Require(page >= 0, $"sequence {sequence.Id}: no page where room was made for {count}");
            sequence.AddPage(page);
        }

        _clock += count * Geometry.PageBytes * _ticksPerByte;
    }

    private int TakeSlot(SequenceMemory sequence)
    {
        int slot = Memory.TakeSlot(sequence.Holder);
        IntegrityException.Require(slot >= 0, $"sequence {sequence.Id}: no slot where room was made for one");
        _clock += Geometry.SlotBytes * _ticksPerByte;
        return slot;
    }
}
