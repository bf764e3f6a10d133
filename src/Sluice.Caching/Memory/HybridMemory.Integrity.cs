namespace Sluice.Caching.Memory;

/// <content>Proof that nothing is lost or counted twice.</content>
public sealed partial class HybridMemory
{
    /// <summary>Who holds a page, by name; needs <see cref="MemoryChecks.Ledger"/>.</summary>
    public string PageHolders(int page) => _pageLedger?.Describe(page) ?? "unknown: no ledger";

    /// <summary>Who holds a slot, by name; needs <see cref="MemoryChecks.Ledger"/>.</summary>
    public string SlotHolders(int slot) => _slotLedger?.Describe(slot) ?? "unknown: no ledger";

    /// <summary>
    /// Recounts everything: each superblock is free, of pages, or of one held slot; the free pages of each are those without
    /// holders; totals are sums. Time in superblocks and pages.
    /// </summary>
    /// <exception cref="IntegrityException">A count is wrong.</exception>
    public void CheckIntegrity()
    {
        Span<Use> seen = _use.Length <= 256 ? stackalloc Use[_use.Length] : new Use[_use.Length];
        CheckFreeSuperblocks(seen);
        CheckSlots(seen);
        int pageSuperblocks = 0, freePages = 0, held = 0, treeOnly = 0;
        for (int superblock = 0; superblock < _use.Length; superblock++)
        {
            int free = 0;
            int first = superblock * Geometry.PagesPerSuperblock;
            for (int page = first; page < first + Geometry.PagesPerSuperblock; page++)
            {
                int references = _references[page];
                IntegrityException.Require(
                    _treeReferences[page] >= 0 && _treeReferences[page] <= references, $"page {page}: {_treeReferences[page]} of its {references} holders are nodes");
                IntegrityException.Require(
                    _pageLedger is null || _pageLedger.Count(page) == references, $"page {page}: {references} holders, the ledger has {PageHolders(page)}");
                if (references == 0)
                    free++;
                else if (references == _treeReferences[page])
                    treeOnly++;
            }

            IntegrityException.Require(
                _use[superblock] == Use.Pages || free == Geometry.PagesPerSuperblock, $"superblock {superblock} is {_use[superblock]} and has held pages");
            IntegrityException.Require(
                _use[superblock] != Use.Free || seen[superblock] == Use.Free, $"superblock {superblock} is free and in use");
            if (_use[superblock] != Use.Pages)
                continue;
            IntegrityException.Require(seen[superblock] == Use.Pages, $"superblock {superblock} holds pages and is also free or a slot's");
            IntegrityException.Require(
                free == _freePages[superblock] && free < Geometry.PagesPerSuperblock, $"superblock {superblock}: {_freePages[superblock]} pages noted free, {free} are");
            CheckFreeList(superblock);
            pageSuperblocks++;
            freePages += free;
            held += Geometry.PagesPerSuperblock - free;
        }

        IntegrityException.Require(pageSuperblocks == PageSuperblocks, $"{PageSuperblocks} superblocks of pages noted, {pageSuperblocks} are");
        IntegrityException.Require(freePages == FreePagesInPartial, $"{FreePagesInPartial} free pages noted, {freePages} are");
        IntegrityException.Require(held == PagesHeld, $"{PagesHeld} held pages noted, {held} are");
        IntegrityException.Require(treeOnly == PagesOfTreeOnly, $"{PagesOfTreeOnly} pages of the tree alone noted, {treeOnly} are");
        IntegrityException.Require(
            pageSuperblocks + _freeSuperblockCount + (SlotsHeld * Geometry.SuperblocksPerSlot) == Superblocks,
            $"{pageSuperblocks} superblocks of pages, {_freeSuperblockCount} free, {SlotsHeld} slots: not {Superblocks} in all");
        CheckPartialLists();
    }

    /// <summary>Marks what is not in the free list as of pages, for <see cref="CheckSlots"/> to mark further.</summary>
    private void CheckFreeSuperblocks(Span<Use> seen)
    {
        seen.Fill(Use.Pages);
        for (int i = 0; i < _freeSuperblockCount; i++)
        {
            int superblock = _freeSuperblocks[i];
            IntegrityException.Require(
                seen[superblock] == Use.Pages && _use[superblock] == Use.Free, $"superblock {superblock} is listed free twice, or is {_use[superblock]}");
            seen[superblock] = Use.Free;
        }
    }

    private void CheckSlots(Span<Use> seen)
    {
        int free = 0;
        for (int slot = 0; slot < Slots; slot++)
        {
            IntegrityException.Require(
                _slotLedger is null || _slotLedger.Count(slot) == (_slotHeld[slot] ? 1 : 0), $"slot {slot}: held {_slotHeld[slot]}, the ledger has {SlotHolders(slot)}");
            if (!_slotHeld[slot])
            {
                free++;
                continue;
            }

            foreach (int superblock in SlotSuperblocks(slot))
            {
                IntegrityException.Require(
                    seen[superblock] == Use.Pages && _use[superblock] == Use.States, $"superblock {superblock} of slot {slot} is free, another slot's, or {_use[superblock]}");
                seen[superblock] = Use.States;
            }
        }

        IntegrityException.Require(free == _freeSlotCount, $"{_freeSlotCount} free slots noted, {free} are");
        IntegrityException.Require(SlotsOfTree >= 0 && SlotsOfTree <= SlotsHeld, $"{SlotsOfTree} of {SlotsHeld} held slots are noted as the tree's");
    }

    private void CheckFreeList(int superblock)
    {
        int length = 0;
        for (int page = _firstFree[superblock]; page != None && length <= Geometry.PagesPerSuperblock; page = _nextFree[page], length++)
        {
            IntegrityException.Require(
                page / Geometry.PagesPerSuperblock == superblock && _references[page] == 0, $"page {page} is listed free in superblock {superblock}, and is not");
        }

        IntegrityException.Require(length == _freePages[superblock], $"superblock {superblock}: {_freePages[superblock]} free pages noted, {length} listed");
    }

    private void CheckPartialLists()
    {
        int listed = 0;
        for (int free = 0; free < _partial.Length; free++)
        {
            bool marked = (_partialLengths[free / 64] & (1UL << (free % 64))) != 0;
            IntegrityException.Require(marked == (_partial[free] != None), $"the list of superblocks with {free} free pages: marked {marked}, first {_partial[free]}");
            int previous = None;
            for (int superblock = _partial[free]; superblock != None; superblock = _partialNext[superblock])
            {
                IntegrityException.Require(
                    _use[superblock] == Use.Pages && _freePages[superblock] == free && _partialPrevious[superblock] == previous,
                    $"superblock {superblock} is listed with {free} free pages, has {_freePages[superblock]}");
                previous = superblock;
                IntegrityException.Require(++listed <= PageSuperblocks, $"the lists of partial superblocks loop");
            }
        }

        int partial = 0;
        for (int superblock = 0; superblock < _use.Length; superblock++)
        {
            if (_use[superblock] == Use.Pages && _freePages[superblock] > 0)
                partial++;
        }

        IntegrityException.Require(partial == listed, $"{partial} superblocks are partly free, {listed} are listed");
    }
}
