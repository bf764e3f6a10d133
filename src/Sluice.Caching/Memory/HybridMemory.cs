using System.Diagnostics;
using Sluice.Core;

namespace Sluice.Caching.Memory;

/// <summary>What <see cref="HybridMemory"/> should do beyond counting.</summary>
public sealed record MemoryChecks
{
    /// <summary>Record every holder by name and refuse wrong releases at once. On by default in debug builds.</summary>
    public bool Ledger { get; init; } =
#if DEBUG
        true;
#else
        false;
#endif

    /// <summary>Ask the device to fill freed pages and slots with NaN, so that a stale read shows. On by default in debug builds.</summary>
    public bool Poison { get; init; } =
#if DEBUG
        true;
#else
        false;
#endif
}

/// <summary>
/// One device arena shared by KV pages and state slots: which superblock holds what, who may use which page, and how much is left.
/// It moves no bytes; copies and table updates it wants are in <see cref="Work"/>. Used by one thread; every operation but
/// <see cref="Compact"/> and the checks is constant time (a slot: time in its superblocks).
/// <para>
/// Pages come from the fullest superblock that has room, so that others drain and can become state memory.
/// </para>
/// </summary>
public sealed partial class HybridMemory
{
    private enum Use : byte
    {
        Free,
        Pages,
        States,
    }

    private const int None = -1;

    private readonly Use[] _use;
    private readonly int[] _freeSuperblocks;
    private int _freeSuperblockCount;

    // Pages of a superblock that are free form a list through _nextFree; superblocks with f free pages, 0 < f < all, form the
    // doubly linked list _partial[f], and a bit of _partialLengths says that the list is not empty.
    private readonly int[] _freePages;
    private readonly int[] _firstFree;
    private readonly int[] _nextFree;
    private readonly int[] _partial;
    private readonly int[] _partialNext;
    private readonly int[] _partialPrevious;
    private readonly ulong[] _partialLengths;

    private readonly int[] _references;
    private readonly int[] _treeReferences;

    private readonly int[] _slotSuperblocks;
    private readonly int[] _freeSlots;
    private int _freeSlotCount;
    private readonly bool[] _slotHeld;

    private readonly bool _poison;
    private readonly HolderLedger? _pageLedger;
    private readonly HolderLedger? _slotLedger;

    /// <summary>Lays out <paramref name="budgetBytes"/> of memory, all free.</summary>
    /// <exception cref="ConfigurationException">The budget does not hold one slot and one superblock of pages.</exception>
    public HybridMemory(MemoryGeometry geometry, long budgetBytes, MemoryChecks? checks = null)
    {
        ArgumentNullException.ThrowIfNull(geometry);
        checks ??= new MemoryChecks();
        long superblocks = budgetBytes / geometry.SuperblockBytes;
        int least = geometry.SuperblocksPerSlot + 1;
        if (superblocks < least || superblocks * geometry.PagesPerSuperblock > Array.MaxLength)
        {
            throw new ConfigurationException(
                $"cache memory: expected between {least * geometry.SuperblockBytes} and {Array.MaxLength / geometry.PagesPerSuperblock * geometry.SuperblockBytes} bytes, found {budgetBytes}");
        }

        Geometry = geometry;
        Superblocks = (int)superblocks;
        Pages = Superblocks * geometry.PagesPerSuperblock;
        Slots = geometry.HasStates ? Superblocks / geometry.SuperblocksPerSlot : 0;
        Work = new DeviceWork(geometry.SuperblocksPerSlot);

        _use = new Use[Superblocks];
        _freeSuperblocks = Descending(Superblocks);
        _freeSuperblockCount = Superblocks;
        _freePages = new int[Superblocks];
        _firstFree = new int[Superblocks];
        _nextFree = new int[Pages];
        _partial = new int[geometry.PagesPerSuperblock + 1];
        Array.Fill(_partial, None);
        _partialNext = new int[Superblocks];
        _partialPrevious = new int[Superblocks];
        _partialLengths = new ulong[(geometry.PagesPerSuperblock / 64) + 1];
        _references = new int[Pages];
        _treeReferences = new int[Pages];
        _slotSuperblocks = new int[Slots * geometry.SuperblocksPerSlot];
        _freeSlots = Descending(Slots);
        _freeSlotCount = Slots;
        _slotHeld = new bool[Slots];
        _poison = checks.Poison;
        if (checks.Ledger)
        {
            _pageLedger = new HolderLedger("page");
            _slotLedger = new HolderLedger("slot");
        }
    }

    /// <summary>How the arena is cut.</summary>
    public MemoryGeometry Geometry { get; }

    /// <summary>What the device must do before the next step.</summary>
    public DeviceWork Work { get; }

    /// <summary>Superblocks there are.</summary>
    public int Superblocks { get; }

    /// <summary>Page numbers there are: 0 to this, whatever superblocks hold pages at the moment.</summary>
    public int Pages { get; }

    /// <summary>Slot numbers there are: as many as fit when there is no page.</summary>
    public int Slots { get; }

    /// <summary>Superblocks that hold neither pages nor states.</summary>
    public int FreeSuperblocks => _freeSuperblockCount;

    /// <summary>Superblocks that hold at least one page.</summary>
    public int PageSuperblocks { get; private set; }

    /// <summary>Free pages in superblocks that hold some page: usable by pages only, until <see cref="Compact"/>.</summary>
    public int FreePagesInPartial { get; private set; }

    /// <summary>Pages held by anybody.</summary>
    public int PagesHeld { get; private set; }

    /// <summary>Pages held by the tree alone: what eviction can win.</summary>
    public int PagesOfTreeOnly { get; private set; }

    /// <summary>Slots held by anybody.</summary>
    public int SlotsHeld => Slots - _freeSlotCount;

    /// <summary>Slots held by the tree.</summary>
    public int SlotsOfTree { get; private set; }

    /// <summary>Bytes no one holds, whole superblocks and free pages together.</summary>
    public long FreeBytes => (_freeSuperblockCount * Geometry.SuperblockBytes) + (FreePagesInPartial * Geometry.PageBytes);

    /// <summary>Whether these can be taken now.</summary>
    public bool CanHold(int pages, int slots) => MissingSuperblocks(pages, slots) <= 0;

    /// <summary>Superblocks that must become free before these can be taken; 0 or less when they can be taken now.</summary>
    public int MissingSuperblocks(int pages, int slots)
    {
        int beyondPartial = Math.Max(0, pages - FreePagesInPartial);
        long wanted = SuperblocksFor(beyondPartial) + ((long)slots * Geometry.SuperblocksPerSlot);
        return (int)Math.Clamp(wanted - _freeSuperblockCount, int.MinValue, int.MaxValue);
    }

    /// <summary>
    /// Whether these could be taken if the tree gave up everything and pages were moved together: when not, evicting for them would
    /// empty the tree in vain.
    /// </summary>
    public bool CouldHold(int pages, int slots)
    {
        long pagesThen = (long)PagesHeld - PagesOfTreeOnly + pages;
        long slotsThen = (long)SlotsHeld - SlotsOfTree + slots;
        return ((pagesThen + Geometry.PagesPerSuperblock - 1) / Geometry.PagesPerSuperblock) + (slotsThen * Geometry.SuperblocksPerSlot) <= Superblocks;
    }

    /// <summary>Slots that could be taken now if <paramref name="pages"/> pages were taken first.</summary>
    public int SlotsLeftAfter(int pages)
    {
        int missing = MissingSuperblocks(pages, 0);
        return Geometry.HasStates ? Math.Max(0, -missing) / Geometry.SuperblocksPerSlot : 0;
    }

    /// <summary>Takes a free page; -1 when there is none.</summary>
    public int TakePage(Holder holder)
    {
        int superblock = FullestPartial();
        if (superblock == None)
        {
            if (_freeSuperblockCount == 0)
                return None;
            superblock = OpenForPages();
        }

        int page = TakeFrom(superblock);
        PagesHeld++;
        Count(page, holder.Kind, +1);
        _pageLedger?.Add(page, holder);
        return page;
    }

    /// <summary>Adds a holder to a page that has one.</summary>
    public void SharePage(int page, Holder holder)
    {
        if (_references[page] == 0)
            throw new IntegrityException($"page {page} is free: {holder} cannot share it");
        Count(page, holder.Kind, +1);
        _pageLedger?.Add(page, holder);
    }

    /// <summary>Removes a holder; true when it was the last and the page is free now.</summary>
    public bool DropPage(int page, Holder holder)
    {
        if (_references[page] == 0)
            throw new IntegrityException($"page {page} is free: {holder} cannot release it");
        _pageLedger?.Remove(page, holder);
        Count(page, holder.Kind, -1);
        if (_references[page] > 0)
            return false;
        PagesHeld--;
        if (_poison)
            Work.PoisonPage(page);
        ReturnTo(page / Geometry.PagesPerSuperblock, page);
        return true;
    }

    /// <summary>A page passes from one holder to another of the same kind.</summary>
    public void PassPage(int page, Holder from, Holder to)
    {
        Debug.Assert(from.Kind == to.Kind, "a page passes between holders of one kind");
        _pageLedger?.Remove(page, from);
        _pageLedger?.Add(page, to);
    }

    /// <summary>Holders of a page.</summary>
    public int References(int page) => _references[page];

    /// <summary>Nodes of the tree that hold a page: two where a span ends inside it.</summary>
    public int TreeReferences(int page) => _treeReferences[page];

    /// <summary>Takes a slot; -1 when there is none.</summary>
    public int TakeSlot(Holder holder)
    {
        int count = Geometry.SuperblocksPerSlot;
        if (!Geometry.HasStates || _freeSuperblockCount < count)
            return None;
        int slot = _freeSlots[--_freeSlotCount];
        Span<int> superblocks = _slotSuperblocks.AsSpan(slot * count, count);
        foreach (ref int superblock in superblocks)
        {
            superblock = _freeSuperblocks[--_freeSuperblockCount];
            _use[superblock] = Use.States;
        }

        _slotHeld[slot] = true;
        if (holder.Kind == HolderKind.Tree)
            SlotsOfTree++;
        _slotLedger?.Add(slot, holder);
        Work.MapSlot(slot, superblocks);
        return slot;
    }

    /// <summary>Frees a slot.</summary>
    public void DropSlot(int slot, Holder holder)
    {
        RequireHeld(slot, holder);
        _slotLedger?.Remove(slot, holder);
        _slotHeld[slot] = false;
        if (holder.Kind == HolderKind.Tree)
            SlotsOfTree--;
        if (_poison)
            Work.PoisonSlot(slot);
        foreach (int superblock in SlotSuperblocks(slot))
        {
            _use[superblock] = Use.Free;
            _freeSuperblocks[_freeSuperblockCount++] = superblock;
        }

        _freeSlots[_freeSlotCount++] = slot;
    }

    /// <summary>A slot passes from one holder to another: nothing is copied.</summary>
    public void PassSlot(int slot, Holder from, Holder to)
    {
        RequireHeld(slot, from);
        _slotLedger?.Remove(slot, from);
        _slotLedger?.Add(slot, to);
        SlotsOfTree += (to.Kind == HolderKind.Tree ? 1 : 0) - (from.Kind == HolderKind.Tree ? 1 : 0);
    }

    /// <summary>The superblocks of a held slot, in order of layers.</summary>
    public ReadOnlySpan<int> SlotSuperblocks(int slot) =>
        _slotSuperblocks.AsSpan(slot * Geometry.SuperblocksPerSlot, Geometry.SuperblocksPerSlot);

    /// <summary>Whether a slot is held.</summary>
    public bool IsSlotHeld(int slot) => _slotHeld[slot];

    private static int[] Descending(int count)
    {
        // Taken from the end: fresh memory is handed out from the lowest address up.
        int[] items = new int[count];
        for (int i = 0; i < count; i++)
            items[i] = count - 1 - i;
        return items;
    }

    private int SuperblocksFor(int pages) => (int)(((long)pages + Geometry.PagesPerSuperblock - 1) / Geometry.PagesPerSuperblock);

    private void RequireHeld(int slot, Holder holder)
    {
        if (!_slotHeld[slot])
            throw new IntegrityException($"slot {slot} is free: {holder} cannot give it away");
    }

    /// <summary>Counts a holder in or out, and whether the tree is the page's only kind of holder before and after.</summary>
    private void Count(int page, HolderKind kind, int change)
    {
        if (_references[page] > 0 && _references[page] == _treeReferences[page])
            PagesOfTreeOnly--;
        _references[page] += change;
        if (kind == HolderKind.Tree)
            _treeReferences[page] += change;
        if (_references[page] > 0 && _references[page] == _treeReferences[page])
            PagesOfTreeOnly++;
    }
}
