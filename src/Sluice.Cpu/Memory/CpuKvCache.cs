using Sluice.Backends;

namespace Sluice.Cpu.Memory;

/// <summary>
/// Float32 keys and values; a page is [layers, kvHeads, keys | values]. Keys of a page lie [headDim, 16 tokens], so that a register holds
/// one element of 16 keys and scores need no sum across lanes; values lie [16 tokens, headDim padded to a multiple of 16].
/// </summary>
internal sealed unsafe class CpuKvCache : KvCache
{
    private readonly CpuCacheArena _arena;
    private readonly long _layerLength;
    private readonly int _headLength;

    public CpuKvCache(CpuCacheArena arena, CacheShape shape)
        : base(shape.KvLayers, arena.Pages, shape.KvHeads, shape.HeadDim)
    {
        _arena = arena;
        ValueStride = StrideOf(shape.HeadDim);
        ValuesAfterKeys = checked(PageTokens * shape.HeadDim);
        _headLength = HeadLength(shape.HeadDim);
        _layerLength = LayerLength(shape);
    }

    /// <summary>Floats from one value to the next.</summary>
    public int ValueStride { get; }

    /// <summary>Floats from the keys of a head in a page to its values.</summary>
    public int ValuesAfterKeys { get; }

    /// <summary>Floats of a page in one layer.</summary>
    public static long LayerLength(CacheShape shape)
    {
        if (shape.KvHeads <= 0 || shape.HeadDim <= 0)
            throw new ArgumentException($"expected KV heads of at least one element, found {shape}", nameof(shape));
        return (long)shape.KvHeads * HeadLength(shape.HeadDim);
    }

    /// <summary>The keys, [headDim, 16 tokens], of a head in a page.</summary>
    public float* Keys(int layer, int page, int head) => _arena.Page(page) + (layer * _layerLength) + ((long)head * _headLength);

    /// <summary>The values, [16 tokens, <see cref="ValueStride"/>], of a head in a page.</summary>
    public float* Values(int layer, int page, int head) => Keys(layer, page, head) + ValuesAfterKeys;

    private static int StrideOf(int headDim) => checked(headDim + 15) / 16 * 16;

    private static int HeadLength(int headDim) => checked((PageTokens * headDim) + (PageTokens * StrideOf(headDim)));
}
