using Sluice.Backends;
using Sluice.Core;
using Sluice.Memory;

namespace Sluice.Cpu.Memory;

/// <summary>
/// Float32 states, [slots, layers, recurrent | convolution]. The recurrent state [keyDim, valueDim] of a value head lies in strips of
/// 16 value columns, [strips, keyDim, 16]: 8 KiB for a key head of 128, which stay in the first-level cache while a strip walks
/// all tokens of a chunk. The convolution state is [taps - 1, channels], oldest input first.
/// </summary>
internal sealed unsafe class CpuStateCache : StateCache
{
    /// <summary>Value columns of a strip.</summary>
    public const int StripWidth = 16;

    private readonly Arena _arena = new("the recurrent states");
    private readonly float* _data;
    private readonly long _recurrentLength;
    private readonly long _layerLength;

    public CpuStateCache(int layers, int slots, LinearAttentionConfig shape)
        : base(layers, slots, shape)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(layers);
        ArgumentOutOfRangeException.ThrowIfNegative(slots);
        Strips = (shape.ValueDim + StripWidth - 1) / StripWidth;
        StripLength = checked(shape.KeyDim * StripWidth);
        _recurrentLength = checked((long)shape.ValueHeads * Strips * StripLength);
        long convolution = ((long)shape.ConvStateElements + 15) / 16 * 16;
        _layerLength = checked(_recurrentLength + convolution);
        long length = checked(slots * layers * _layerLength);
        _data = (float*)_arena.Allocate(checked(length * sizeof(float)));
        Poison.Fill(_data, length);
    }

    /// <summary>Strips of a value head.</summary>
    public int Strips { get; }

    /// <summary>Floats of a strip.</summary>
    public int StripLength { get; }

    /// <summary>The strips, [strips, keyDim, 16], of a value head.</summary>
    public float* Recurrent(int layer, int slot, int head) => Layer(layer, slot) + (head * (long)Strips * StripLength);

    /// <summary>The last inputs of the convolution, [taps - 1, channels], oldest first.</summary>
    public float* Convolution(int layer, int slot) => Layer(layer, slot) + _recurrentLength;

    /// <inheritdoc/>
    public override void Dispose() => _arena.Dispose();

    private float* Layer(int layer, int slot)
    {
        if ((uint)slot >= (uint)Slots)
            throw new BackendException($"expected a state slot below {Slots}, found {slot}");
        return _data + (((slot * (long)Layers) + layer) * _layerLength);
    }
}
