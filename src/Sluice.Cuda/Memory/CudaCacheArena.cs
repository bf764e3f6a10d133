using Sluice.Backends;
using Sluice.Core;
using Sluice.Cuda.Driver;

namespace Sluice.Cuda.Memory;

/// <summary>
/// KV pages in bfloat16 and states in float32, in one block of the card's memory. Which superblocks a slot has is kept on both sides: here for
/// copies between steps, and on the card for kernels, which learn of changes at the beginning of a step.
/// </summary>
internal sealed unsafe class CudaCacheArena : CacheArena
{
    private const int Alignment = 256;
    private const uint NaN = 0x7fc07fc0; // as two bfloat16 and as one float32

    private readonly CudaStream _stream;
    private readonly DeviceMemory _data;
    private readonly DeviceMemory? _slotTable;
    private readonly int[] _slots;
    private readonly HashSet<int> _moved = [];

    private CudaCacheArena(CacheShape shape, MemoryGeometry geometry, int superblocks, CudaStream stream)
        : base(geometry, superblocks)
    {
        _stream = stream;
        _data = new DeviceMemory(checked(superblocks * geometry.SuperblockBytes), "KV pages and recurrent states");
        _data.Fill(NaN, stream);
        _slots = new int[Slots * geometry.SuperblocksPerSlot];
        Array.Fill(_slots, -1);
        if (shape.KvLayers > 0)
            Kv = new CudaKvCache(this, shape);
        if (shape.StateLayers > 0)
        {
            _slotTable = new DeviceMemory(Math.Max(1, _slots.Length) * sizeof(int), "the table of state slots");
            _slotTable.Fill(uint.MaxValue, stream);
            States = new CudaStateCache(this, shape);
        }
    }

    /// <inheritdoc/>
    public override CudaKvCache? Kv { get; }

    /// <inheritdoc/>
    public override CudaStateCache? States { get; }

    public PageMap PageMap => new(_data.Address, Geometry.SuperblockBytes, Geometry.PageBytes, Geometry.KvLayerBytes, Geometry.PagesPerSuperblock);

    public StateMap StateMap => new(
        _data.Address, _slotTable!.Address, Geometry.SuperblockBytes, Geometry.StateLayerBytes, Geometry.SuperblocksPerSlot, Geometry.LayersPerSuperblock);

    /// <summary>Slots whose superblocks the card has not been told of.</summary>
    public IReadOnlyCollection<int> Moved => _moved;

    public static MemoryGeometry GeometryOf(CacheShape shape) => MemoryGeometry.Choose(
        shape.KvLayers,
        shape.KvLayers == 0 ? 0 : checked(2L * shape.KvHeads * KvCache.PageTokens * ((shape.HeadDim + 63) / 64 * 64) * 2),
        shape.StateLayers,
        shape.StateLayers == 0 ? 0 : StateLayerBytes(shape.Linear!),
        alignment: Alignment);

    public static CudaCacheArena Create(CacheShape shape, int superblocks, CudaStream stream) => new(shape, GeometryOf(shape), superblocks, stream);

    /// <summary>The superblocks of a slot.</summary>
    public ReadOnlySpan<int> SuperblocksOf(int slot) => _slots.AsSpan(slot * Geometry.SuperblocksPerSlot, Geometry.SuperblocksPerSlot);

    /// <summary>Forgets what <see cref="Moved"/> says: the card has been told.</summary>
    public void Told() => _moved.Clear();

    /// <inheritdoc/>
    public override void MapSlot(int slot, ReadOnlySpan<int> superblocks)
    {
        foreach (int superblock in superblocks)
        {
            if ((uint)superblock >= (uint)Superblocks)
                throw new BackendException($"expected a superblock below {Superblocks}, found {superblock}");
        }

        superblocks.CopyTo(_slots.AsSpan(slot * Geometry.SuperblocksPerSlot, Geometry.SuperblocksPerSlot));
        _ = _moved.Add(slot);
    }

    /// <inheritdoc/>
    public override void CopyPage(int from, int to) => Copy(Page(from), Page(to), Geometry.PageBytes);

    /// <inheritdoc/>
    public override void CopySlot(int from, int to)
    {
        for (int layer = 0; layer < Geometry.StateLayers; layer += Geometry.LayersPerSuperblock)
            Copy(State(from, layer), State(to, layer), GroupBytes(layer));
    }

    /// <inheritdoc/>
    public override void PoisonPage(int page) => Fill(Page(page), Geometry.PageBytes);

    /// <inheritdoc/>
    public override void PoisonSlot(int slot)
    {
        for (int layer = 0; layer < Geometry.StateLayers; layer += Geometry.LayersPerSuperblock)
            Fill(State(slot, layer), GroupBytes(layer));
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _stream.Synchronise("ending the caches");
        _slotTable?.Dispose();
        _data.Dispose();
    }

    private static long StateLayerBytes(LinearAttentionConfig shape)
    {
        long floats = checked(((long)shape.ValueHeads * shape.KeyDim * shape.ValueDim) + shape.ConvStateElements);
        return checked(((floats * sizeof(float)) + Alignment - 1) / Alignment * Alignment);
    }

    // Layers of one superblock lie one behind another.
    private long GroupBytes(int layer) => Math.Min(Geometry.LayersPerSuperblock, Geometry.StateLayers - layer) * Geometry.StateLayerBytes;

    private ulong Page(int page)
    {
        if ((uint)page >= (uint)Pages)
            throw new BackendException($"expected a KV page below {Pages}, found {page}");
        return _data.Address + (ulong)Geometry.PageOffset(page, 0);
    }

    private ulong State(int slot, int layer)
    {
        if ((uint)slot >= (uint)Slots)
            throw new BackendException($"expected a state slot below {Slots}, found {slot}");
        ReadOnlySpan<int> superblocks = SuperblocksOf(slot);
        if (superblocks[0] < 0)
            throw new BackendException($"state slot {slot} has no memory yet");
        return _data.Address + (ulong)Geometry.StateOffset(superblocks, layer);
    }

    private void Copy(ulong from, ulong to, long bytes) =>
        CudaStatus.Check(DriverApi.CopyOnDevice(to, from, (nuint)bytes, _stream.Handle), "copying a page or a state");

    private void Fill(ulong at, long bytes) =>
        CudaStatus.Check(DriverApi.Fill(at, NaN, (nuint)(bytes / sizeof(uint)), _stream.Handle), "poisoning a page or a state");
}
