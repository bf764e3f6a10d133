using Sluice.Core;

namespace Sluice.Backends.Reference;

/// <summary>One array of floats for each superblock.</summary>
internal sealed class ReferenceArena : CacheArena
{
    private readonly float[][] _superblocks;
    private readonly int[] _slots;

    private ReferenceArena(CacheShape shape, MemoryGeometry geometry, int superblocks)
        : base(geometry, superblocks)
    {
        _superblocks = new float[superblocks][];
        for (int i = 0; i < superblocks; i++)
            _superblocks[i] = new float[geometry.SuperblockBytes / sizeof(float)];
        _slots = new int[Slots * geometry.SuperblocksPerSlot];
        Array.Fill(_slots, -1);
        if (shape.KvLayers > 0)
            Kv = new ReferenceKvCache(this, shape);
        if (shape.StateLayers > 0)
            States = new ReferenceStateCache(this, shape);
    }

    public override ReferenceKvCache? Kv { get; }

    public override ReferenceStateCache? States { get; }

    /// <summary>A page's layer is [keys | values], each [tokens, kvHeads, headDim]; a state's is [recurrent | convolution].</summary>
    public static MemoryGeometry GeometryOf(CacheShape shape) => MemoryGeometry.Choose(
        shape.KvLayers,
        checked(2L * KvCache.PageTokens * shape.KvHeads * shape.HeadDim * sizeof(float)),
        shape.StateLayers,
        checked(((long)(shape.Linear?.StateElements ?? 0) + (shape.Linear?.ConvStateElements ?? 0)) * sizeof(float)));

    public static ReferenceArena Create(CacheShape shape, int superblocks) => new(shape, GeometryOf(shape), superblocks);

    /// <summary>All of a page's layer.</summary>
    public Span<float> Page(int page, int layer)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)page, (uint)Pages, nameof(page));
        return At(Geometry.PageOffset(page, layer), Geometry.KvLayerBytes);
    }

    /// <summary>All of a state's layer.</summary>
    public Span<float> State(int slot, int layer)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)slot, (uint)Slots, nameof(slot));
        return At(Geometry.StateOffset(_slots.AsSpan(slot * Geometry.SuperblocksPerSlot, Geometry.SuperblocksPerSlot), layer), Geometry.StateLayerBytes);
    }

    public override void MapSlot(int slot, ReadOnlySpan<int> superblocks) =>
        superblocks.CopyTo(_slots.AsSpan(slot * Geometry.SuperblocksPerSlot, Geometry.SuperblocksPerSlot));

    public override void CopyPage(int from, int to)
    {
        for (int layer = 0; layer < Geometry.KvLayers; layer++)
            Page(from, layer).CopyTo(Page(to, layer));
    }

    public override void CopySlot(int from, int to)
    {
        for (int layer = 0; layer < Geometry.StateLayers; layer++)
            State(from, layer).CopyTo(State(to, layer));
    }

    public override void PoisonPage(int page)
    {
        for (int layer = 0; layer < Geometry.KvLayers; layer++)
            Page(page, layer).Fill(float.NaN);
    }

    public override void PoisonSlot(int slot)
    {
        for (int layer = 0; layer < Geometry.StateLayers; layer++)
            State(slot, layer).Fill(float.NaN);
    }

    public override void Dispose()
    {
        // Managed arrays only.
    }

    private Span<float> At(long offset, long bytes) => _superblocks[offset / Geometry.SuperblockBytes]
        .AsSpan((int)(offset % Geometry.SuperblockBytes / sizeof(float)), (int)(bytes / sizeof(float)));
}

/// <summary>Float32 keys and values.</summary>
internal sealed class ReferenceKvCache(ReferenceArena arena, CacheShape shape)
    : KvCache(shape.KvLayers, arena.Pages, shape.KvHeads, shape.HeadDim)
{
    /// <summary>The key, [headDim], of a position of the sequence whose pages these are.</summary>
    public Span<float> Key(int layer, int[] pageTable, int position, int head) => Entry(0, layer, pageTable, position, head);

    /// <summary>The value, [headDim], of a position of the sequence whose pages these are.</summary>
    public Span<float> Value(int layer, int[] pageTable, int position, int head) => Entry(PageTokens, layer, pageTable, position, head);

    private Span<float> Entry(int first, int layer, int[] pageTable, int position, int head) => arena
        .Page(pageTable[position / PageTokens], layer)
        .Slice((((first + (position % PageTokens)) * KvHeads) + head) * HeadDim, HeadDim);
}

/// <summary>Float32 states.</summary>
internal sealed class ReferenceStateCache(ReferenceArena arena, CacheShape shape)
    : StateCache(shape.StateLayers, arena.Slots, shape.Linear!)
{
    /// <summary>The recurrent state, [valueHeads, keyDim, valueDim].</summary>
    public Span<float> Recurrent(int layer, int slot) => arena.State(slot, layer)[..Shape.StateElements];

    /// <summary>The convolution's last inputs, oldest first, [taps - 1, channels].</summary>
    public Span<float> Convolution(int layer, int slot) => arena.State(slot, layer)[Shape.StateElements..];
}
