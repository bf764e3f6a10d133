using Sluice.Caching.Memory;
using Sluice.Caching.Sequences;

namespace Sluice.Engine;

/// <summary>
/// What the one budget of memory is used for, and what the prefix cache has done so far. Read while the engine runs, figure by
/// figure: they need not add up to the byte.
/// </summary>
/// <param name="TotalBytes">The budget.</param>
/// <param name="FreeBytes">What nobody uses.</param>
/// <param name="SequencePages">KV pages that running sequences hold, alone or with the cache.</param>
/// <param name="SequenceSlots">State slots that running sequences hold.</param>
/// <param name="CachedPages">KV pages that only the cache holds.</param>
/// <param name="CachedSlots">State slots that the cache holds: its checkpoints.</param>
/// <param name="PageBytes">Bytes of a page.</param>
/// <param name="SlotBytes">Bytes of a slot.</param>
/// <param name="Nodes">Nodes of the prefix tree.</param>
/// <param name="Ghosts">Of those, without KV: keys alone.</param>
/// <param name="Salts">Cache salts in use.</param>
/// <param name="Counters">What was done.</param>
public readonly record struct CacheUse(
    long TotalBytes,
    long FreeBytes,
    int SequencePages,
    int SequenceSlots,
    int CachedPages,
    int CachedSlots,
    long PageBytes,
    long SlotBytes,
    int Nodes,
    int Ghosts,
    int Salts,
    CacheCounters Counters)
{
    /// <summary>Share of prompt tokens that were not computed, 0 to 1.</summary>
    public double HitRate => Counters.PromptTokens == 0 ? 0 : (double)Counters.CachedTokens / Counters.PromptTokens;

    internal static CacheUse Of(PrefixCache cache)
    {
        HybridMemory memory = cache.Memory;
        return new CacheUse(
            memory.Superblocks * memory.Geometry.SuperblockBytes,
            memory.FreeBytes,
            memory.PagesHeld - memory.PagesOfTreeOnly,
            memory.SlotsHeld - memory.SlotsOfTree,
            memory.PagesOfTreeOnly,
            memory.SlotsOfTree,
            memory.Geometry.PageBytes,
            memory.Geometry.SlotBytes,
            cache.Tree.Nodes,
            cache.Tree.Ghosts,
            cache.Tree.Salts,
            cache.Counters);
    }
}
