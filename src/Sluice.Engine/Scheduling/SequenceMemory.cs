using Sluice.Backends;
using Sluice.Caching;

namespace Sluice.Engine.Scheduling;

/// <summary>
/// The KV pages and state slots that running sequences hold. A sequence is admitted with pages for all the tokens it has and one
/// slot, then grows page by page; whatever ends it gives everything back.
/// </summary>
internal sealed class SequenceMemory
{
    private readonly bool _needsSlot;

    /// <summary>Creates empty memory; <paramref name="needsSlot"/> is false for models without a recurrent state.</summary>
    public SequenceMemory(int pages, int slots, bool needsSlot)
    {
        Pages = new PagePool(pages);
        Slots = new SlotPool(slots);
        _needsSlot = needsSlot;
    }

    public PagePool Pages { get; }

    public SlotPool Slots { get; }

    /// <summary>Gives a sequence all it needs for the tokens it has, if <paramref name="spare"/> pages stay free; else nothing.</summary>
    public bool TryAdmit(Sequence sequence, int spare)
    {
        int needed = Sequence.PagesFor(sequence.Length);
        if (needed + spare > Pages.FreeCount)
            return false;
        if (_needsSlot)
        {
            if (!Slots.TryRent(out int slot))
                return false;
            sequence.StateSlot = slot;
        }

        _ = Pages.TryRent(sequence.PageTable.AsSpan(0, needed));
        sequence.PageCount = needed;
        sequence.Computed = 0;
        return true;
    }

    /// <summary>Makes room for the token a decoding sequence is about to compute; false when no page is free.</summary>
    public bool TryGrow(Sequence sequence)
    {
        if (sequence.PageCount * KvCache.PageTokens >= sequence.Length)
            return true;
        if (!Pages.TryRent(out int page))
            return false;
        sequence.PageTable[sequence.PageCount++] = page;
        return true;
    }

    /// <summary>Takes back all that a sequence holds.</summary>
    public void Release(Sequence sequence)
    {
        Pages.Release(sequence.PageTable.AsSpan(0, sequence.PageCount));
        sequence.PageCount = 0;
        sequence.Computed = 0;
        if (sequence.StateSlot >= 0)
            Slots.Release(sequence.StateSlot);
        sequence.StateSlot = -1;
    }

    /// <summary>Proves that free memory and what <paramref name="running"/> sequences hold add up to all there is.</summary>
    /// <exception cref="InvalidOperationException">They do not.</exception>
    public void CheckIntegrity(IReadOnlyList<Sequence> running)
    {
        Pages.CheckIntegrity();
        Slots.CheckIntegrity();
        var owners = new int[Pages.Count];
        int slots = 0;
        foreach (Sequence sequence in running)
        {
            foreach (int page in sequence.PageTable.AsSpan(0, sequence.PageCount))
                owners[page]++;
            if (sequence.StateSlot < 0)
                continue;
            slots++;
            if (!Slots.IsHeld(sequence.StateSlot))
                throw new InvalidOperationException($"state slot {sequence.StateSlot} is in use and free");
        }

        for (int page = 0; page < owners.Length; page++)
        {
            if (owners[page] != Pages.References(page))
                throw new InvalidOperationException($"page {page} has {owners[page]} owners and counts {Pages.References(page)}");
        }

        if (slots + Slots.FreeCount != Slots.Count)
            throw new InvalidOperationException($"{slots} state slots are in use and {Slots.FreeCount} free, of {Slots.Count}");
    }
}
