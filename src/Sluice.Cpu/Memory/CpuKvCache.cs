using Sluice.Backends;
using Sluice.Core;
using Sluice.Memory;

namespace Sluice.Cpu.Memory;

/// <summary>
/// Float32 keys and values, [pages, layers, kvHeads, keys | values]. Keys of a page lie [headDim, 16 tokens], so that a register holds
/// one element of 16 keys and scores need no sum across lanes; values lie [16 tokens, headDim padded to a multiple of 16].
/// </summary>
internal sealed unsafe class CpuKvCache : KvCache
{
    private readonly Arena _arena = new("the KV cache");
    private readonly float* _data;
    private readonly long _pageLength;
    private readonly long _layerLength;
    private readonly int _headLength;

    public CpuKvCache(int layers, int pages, int kvHeads, int headDim)
        : base(layers, pages, kvHeads, headDim)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(layers);
        ArgumentOutOfRangeException.ThrowIfNegative(pages);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(kvHeads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(headDim);
        ValueStride = (headDim + 15) / 16 * 16;
        ValuesAfterKeys = checked(PageTokens * headDim);
        _headLength = checked(ValuesAfterKeys + (PageTokens * ValueStride));
        _layerLength = (long)kvHeads * _headLength;
        _pageLength = checked(layers * _layerLength);
        long length = checked(pages * _pageLength);
        _data = (float*)_arena.Allocate(checked(length * sizeof(float)));
        Poison.Fill(_data, length);
    }

    /// <summary>Floats from one value to the next.</summary>
    public int ValueStride { get; }

    /// <summary>Floats from the keys of a head in a page to its values.</summary>
    public int ValuesAfterKeys { get; }

    /// <summary>The keys, [headDim, 16 tokens], of a head in a page.</summary>
    public float* Keys(int layer, int page, int head)
    {
        if ((uint)page >= (uint)Pages)
            throw new BackendException($"expected a KV page below {Pages}, found {page}");
        return _data + (page * _pageLength) + (layer * _layerLength) + ((long)head * _headLength);
    }

    /// <summary>The values, [16 tokens, <see cref="ValueStride"/>], of a head in a page.</summary>
    public float* Values(int layer, int page, int head) => Keys(layer, page, head) + ValuesAfterKeys;

    /// <inheritdoc/>
    public override void Dispose() => _arena.Dispose();
}
