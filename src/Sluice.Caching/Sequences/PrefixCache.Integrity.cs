using Sluice.Caching.Memory;
using Sluice.Caching.Tree;

namespace Sluice.Caching.Sequences;

/// <content>Proof that free, the tree's and the sequences' are all there is.</content>
public sealed partial class PrefixCache
{
    /// <summary>
    /// Checks every rule of memory and tree, and that each page and slot is free or held by exactly those who say so. Time in all of
    /// them; for tests, and for the engine when idle.
    /// </summary>
    /// <exception cref="IntegrityException">The books do not balance.</exception>
    public void CheckIntegrity()
    {
        Memory.CheckIntegrity();
        Tree.CheckIntegrity();
        Span<int> counts = Scratch(Memory.Pages + Memory.Slots);
        counts.Clear();
        Span<int> slots = counts[Memory.Pages..];
        foreach (SequenceMemory sequence in _sequences)
        {
            IntegrityException.Require(
                !sequence.Released && sequence.Computed <= (long)sequence.PageCount * Geometry.PageTokens,
                $"sequence {sequence.Id}: ended {sequence.Released}, {sequence.Computed} tokens in {sequence.PageCount} pages");
            foreach (int page in sequence.Pages)
                counts[page]++;
            foreach (StateCheckpoint export in sequence.Exports)
                slots[export.Slot]++;
            if (Geometry.HasStates)
                slots[sequence.LiveSlot]++;
        }

        for (int page = 0; page < Memory.Pages; page++)
        {
            IntegrityException.Require(
                counts[page] + Memory.TreeReferences(page) == Memory.References(page),
                $"page {page}: {counts[page]} sequences and {Memory.TreeReferences(page)} nodes hold it, {Memory.References(page)} holders noted ({Memory.PageHolders(page)})");
        }

        for (int slot = 0; slot < slots.Length; slot++)
        {
            int holders = slots[slot] + (Tree.HoldsSlot(slot) ? 1 : 0);
            IntegrityException.Require(
                holders == (Memory.IsSlotHeld(slot) ? 1 : 0),
                $"slot {slot}: {holders} holders, noted as held {Memory.IsSlotHeld(slot)} ({Memory.SlotHolders(slot)})");
        }
    }
}
