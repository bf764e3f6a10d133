using Sluice.Backends;
using Sluice.Core;
using Sluice.Memory;

namespace Sluice.Cpu.Memory;

/// <summary>KV pages and states in one block of native memory, which costs nothing until it is first written.</summary>
internal sealed unsafe class CpuCacheArena : CacheArena
{
    // More is not filled with NaN beforehand, because that would make all of it resident.
    private const long MostPoisonedBytes = 256 << 20;

    // What a turn soon needs finds memory that is ready: a few states and a long prompt's pages, a sixteenth of the arena at most. What is made ready is
    // resident, used or not, and making it ready takes a core.
    private const long MostPrefaultedBytes = 256 << 20;
    private const int PrefaultedSlots = 8;
    private const int PrefaultedTokens = 4096;

    // The first step, which proves that a server is ready, wants all cores.
    private static readonly TimeSpan PrefaultPause = TimeSpan.FromSeconds(1);

    private readonly Arena _arena;
    private readonly byte* _data;
    private readonly int[] _slots;
    private readonly Prefault _prefault;

    private CpuCacheArena(CacheShape shape, KvDtype kv, MemoryGeometry geometry, int superblocks, NumaInterleaving? interleaving)
        : base(geometry, superblocks)
    {
        long bytes = checked(superblocks * geometry.SuperblockBytes);
        _arena = new Arena("KV pages and recurrent states", interleaving: interleaving);
        _data = _arena.Allocate(bytes);
        _prefault = new Prefault(_data, bytes, ReadyBytes(geometry, bytes), PrefaultPause);
        Poison.Fill(_data, Math.Min(bytes, MostPoisonedBytes));
        _slots = new int[Slots * geometry.SuperblocksPerSlot];
        Array.Fill(_slots, -1);
        if (shape.KvLayers > 0)
            Kv = new CpuKvCache(this, shape, kv);
        if (shape.StateLayers > 0)
            States = new CpuStateCache(this, shape);
    }

    /// <inheritdoc/>
    public override CpuKvCache? Kv { get; }

    /// <inheritdoc/>
    public override CpuStateCache? States { get; }

    public static MemoryGeometry GeometryOf(CacheShape shape, KvDtype kv) => MemoryGeometry.Choose(
        shape.KvLayers,
        shape.KvLayers == 0 ? 0 : CpuKvCache.BytesOfLayer(shape, kv),
        shape.StateLayers,
        shape.StateLayers == 0 ? 0 : checked(CpuStateCache.LayerLength(shape.Linear!) * sizeof(float)));

    /// <summary>Bytes of an arena that are kept ready beyond what is used, at most.</summary>
    public static long ReadyBytes(MemoryGeometry geometry, long bytes)
    {
        long soon = (PrefaultedSlots * geometry.SlotBytes) + (geometry.PagesFor(PrefaultedTokens) * geometry.PageBytes);
        return Math.Min(Math.Min(soon, bytes / 16), MostPrefaultedBytes);
    }

    public static CpuCacheArena Create(CacheShape shape, KvDtype kv, int superblocks, NumaInterleaving? interleaving) =>
        new(shape, kv, GeometryOf(shape, kv), superblocks, interleaving);

    /// <summary>Where a page begins: its first layer.</summary>
    public byte* Page(int page)
    {
        if ((uint)page >= (uint)Pages)
            throw new BackendException($"expected a KV page below {Pages}, found {page}");
        return _data + Geometry.PageOffset(page, 0);
    }

    /// <summary>Where a slot's state of a layer begins.</summary>
    public float* State(int slot, int layer)
    {
        if ((uint)slot >= (uint)Slots)
            throw new BackendException($"expected a state slot below {Slots}, found {slot}");
        int first = slot * Geometry.SuperblocksPerSlot;
        if (_slots[first] < 0)
            throw new BackendException($"state slot {slot} has no memory yet");
        return (float*)(_data + Geometry.StateOffset(_slots.AsSpan(first, Geometry.SuperblocksPerSlot), layer));
    }

    /// <inheritdoc/>
    public override void MapSlot(int slot, ReadOnlySpan<int> superblocks)
    {
        foreach (int superblock in superblocks)
        {
            if ((uint)superblock >= (uint)Superblocks)
                throw new BackendException($"expected a superblock below {Superblocks}, found {superblock}");

            // Superblocks are given out from the first upwards and re-used before a new one is begun, so states show how far use has come.
            _prefault.Reached((superblock + 1) * Geometry.SuperblockBytes);
        }

        superblocks.CopyTo(_slots.AsSpan(slot * Geometry.SuperblocksPerSlot, Geometry.SuperblocksPerSlot));
    }

    /// <inheritdoc/>
    public override void CopyPage(int from, int to) =>
        Buffer.MemoryCopy(Page(from), Page(to), Geometry.PageBytes, Geometry.PageBytes);

    /// <inheritdoc/>
    public override void CopySlot(int from, int to)
    {
        for (int layer = 0; layer < Geometry.StateLayers; layer++)
            Buffer.MemoryCopy(State(from, layer), State(to, layer), Geometry.StateLayerBytes, Geometry.StateLayerBytes);
    }

    /// <inheritdoc/>
    public override void PoisonPage(int page) => Poison.Overwrite(Page(page), Geometry.PageBytes);

    /// <inheritdoc/>
    public override void PoisonSlot(int slot)
    {
        for (int layer = 0; layer < Geometry.StateLayers; layer++)
            Poison.Overwrite(State(slot, layer), Geometry.StateLayerBytes);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _prefault.Dispose();
        _arena.Dispose();
    }
}
