using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Kernels;

namespace Sluice.Cpu.Memory;

/// <summary>
/// Keys and values of some type; a page is [layers, kvHeads, keys | values | factors of keys | factors of values], where only <see cref="KvDtype.Int8"/> has
/// factors, [16 tokens] each. How keys and values lie is <see cref="IKvFormat"/>'s.
/// </summary>
internal sealed unsafe class CpuKvCache : KvCache
{
    private readonly CpuCacheArena _arena;
    private readonly long _layerBytes;
    private readonly int _headBytes;

    public CpuKvCache(CpuCacheArena arena, CacheShape shape, KvDtype type)
        : base(shape.KvLayers, arena.Pages, shape.KvHeads, shape.HeadDim)
    {
        _arena = arena;
        Layout layout = new(type, shape.HeadDim);
        Type = type;
        ValueStride = layout.ValueStride;
        ValuesAfterKeys = layout.KeyBytes;
        FactorsAfterKeys = layout.KeyBytes + layout.ValueBytes;
        _headBytes = layout.HeadBytes;
        _layerBytes = BytesOfLayer(shape, type);
    }

    /// <summary>What is kept.</summary>
    public KvDtype Type { get; }

    /// <summary>Numbers from one value to the next.</summary>
    public int ValueStride { get; }

    /// <summary>Bytes from the keys of a head in a page to its values.</summary>
    public int ValuesAfterKeys { get; }

    /// <summary>Bytes from the keys of a head in a page to their factors, behind which are those of the values.</summary>
    public int FactorsAfterKeys { get; }

    /// <summary>Bytes of a page in one layer.</summary>
    /// <exception cref="BackendException">The type wants an even number of elements.</exception>
    public static long BytesOfLayer(CacheShape shape, KvDtype type)
    {
        if (shape.KvHeads <= 0 || shape.HeadDim <= 0)
            throw new ArgumentException($"expected KV heads of at least one element, found {shape}", nameof(shape));
        if (type != KvDtype.Float32 && shape.HeadDim % 2 != 0)
            throw new BackendException($"expected heads of an even number of elements for keys and values in {type}, found {shape.HeadDim}; float32 takes them");
        return (long)shape.KvHeads * new Layout(type, shape.HeadDim).HeadBytes;
    }

    /// <summary>The keys of a head in a page.</summary>
    public byte* Keys(int layer, int page, int head) => _arena.Page(page) + (layer * _layerBytes) + ((long)head * _headBytes);

    /// <summary>Keeps a token's key and value, each [headDim], in place <paramref name="token"/> of a page.</summary>
    public void Store(int layer, int page, int head, int token, float* key, float* value)
    {
        byte* keys = Keys(layer, page, head);
        switch (Type)
        {
            case KvDtype.BF16:
                ushort* words = (ushort*)keys;
                for (int i = 0; i < HeadDim; i++)
                    words[(((i / 2 * PageTokens) + token) * 2) + 1 - (i % 2)] = StoredNumbers.ToBF16(key[i]);
                words = (ushort*)(keys + ValuesAfterKeys);
                for (int i = 0; i < HeadDim; i++)
                    words[BF16Kv.WordOf(token, i)] = StoredNumbers.ToBF16(value[i]);
                break;
            case KvDtype.Int8:
                float* factors = (float*)(keys + FactorsAfterKeys);
                sbyte* rounded = stackalloc sbyte[HeadDim];
                factors[token] = KvRounding.ToInt8(new(key, HeadDim), new(rounded, HeadDim));
                for (int i = 0; i < HeadDim; i++)
                    ((sbyte*)keys)[(i * PageTokens) + token] = rounded[i];
                factors[PageTokens + token] = KvRounding.ToInt8(
                    new(value, HeadDim), new(keys + ValuesAfterKeys + (token * ValueStride), HeadDim));
                break;
            default:
                for (int i = 0; i < HeadDim; i++)
                    ((float*)keys)[(i * PageTokens) + token] = key[i];
                new Span<float>(value, HeadDim).CopyTo(new((float*)(keys + ValuesAfterKeys) + (token * ValueStride), HeadDim));
                break;
        }
    }

    /// <summary>Sizes of a head's part of a page.</summary>
    private readonly struct Layout
    {
        public Layout(KvDtype type, int headDim)
        {
            (int elementBytes, int alignment) = type switch
            {
                KvDtype.Float32 => (F32Kv.ElementBytes, F32Kv.ValueAlignment),
                KvDtype.BF16 => (BF16Kv.ElementBytes, BF16Kv.ValueAlignment),
                KvDtype.Int8 => (Int8Kv.ElementBytes, Int8Kv.ValueAlignment),
                _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not a type that pages hold"),
            };
            ValueStride = checked(headDim + alignment - 1) / alignment * alignment;
            KeyBytes = checked(PageTokens * headDim * elementBytes);
            ValueBytes = checked(PageTokens * ValueStride * elementBytes);
            HeadBytes = checked(KeyBytes + ValueBytes + (type == KvDtype.Int8 ? 2 * PageTokens * sizeof(float) : 0));
        }

        public int ValueStride { get; }

        public int KeyBytes { get; }

        public int ValueBytes { get; }

        public int HeadBytes { get; }
    }
}
