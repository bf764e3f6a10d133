using Sluice.Backends;
using Sluice.Core;

namespace Sluice.Cpu.Memory;

/// <summary>
/// Float32 states; a layer of a slot is [recurrent | convolution]. The recurrent state [keyDim, valueDim] of a value head lies in strips of
/// 16 value columns, [strips, keyDim, 16]: 8 KiB for a key head of 128, which stay in the first-level cache while a strip walks
/// all tokens of a chunk. The convolution state is [taps - 1, channels], oldest input first.
/// </summary>
internal sealed unsafe class CpuStateCache : StateCache
{
    /// <summary>Value columns of a strip.</summary>
    public const int StripWidth = 16;

    private readonly CpuCacheArena _arena;
    private readonly long _recurrentLength;

    public CpuStateCache(CpuCacheArena arena, CacheShape shape)
        : base(shape.StateLayers, arena.Slots, shape.Linear!)
    {
        _arena = arena;
        Strips = StripsOf(Shape);
        StripLength = checked(Shape.KeyDim * StripWidth);
        _recurrentLength = RecurrentLength(Shape);
    }

    /// <summary>Strips of a value head.</summary>
    public int Strips { get; }

    /// <summary>Floats of a strip.</summary>
    public int StripLength { get; }

    /// <summary>Floats of one layer of a slot.</summary>
    public static long LayerLength(LinearAttentionConfig shape) =>
        checked(RecurrentLength(shape) + (((long)shape.ConvStateElements + 15) / 16 * 16));

    /// <summary>The strips, [strips, keyDim, 16], of a value head.</summary>
    public float* Recurrent(int layer, int slot, int head) => _arena.State(slot, layer) + (head * (long)Strips * StripLength);

    /// <summary>The last inputs of the convolution, [taps - 1, channels], oldest first.</summary>
    public float* Convolution(int layer, int slot) => _arena.State(slot, layer) + _recurrentLength;

    private static int StripsOf(LinearAttentionConfig shape) => (shape.ValueDim + StripWidth - 1) / StripWidth;

    private static long RecurrentLength(LinearAttentionConfig shape) =>
        checked((long)shape.ValueHeads * StripsOf(shape) * shape.KeyDim * StripWidth);
}
