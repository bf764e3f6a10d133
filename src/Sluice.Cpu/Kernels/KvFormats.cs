using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// How keys and values of one type lie in a head's part of a page, and how they become float32 in registers: elements of a key by tokens, so that a register
/// has one element of as many keys as it has lanes; values token by token, or by pairs of tokens.
/// </summary>
internal unsafe interface IKvFormat
{
    /// <summary>Bytes of a number.</summary>
    static abstract int ElementBytes { get; }

    /// <summary>Elements of a key that <see cref="LoadKeys"/> gives at once, 1 or 2.</summary>
    static abstract int Step { get; }

    /// <summary>Bytes from one key to its neighbour, in what <see cref="LoadKeys"/> takes.</summary>
    static abstract int KeyBytes { get; }

    /// <summary>Whether every key and value has a factor.</summary>
    static abstract bool Scaled { get; }

    /// <summary>Widths of values are multiples of this.</summary>
    static abstract int ValueAlignment { get; }

    /// <summary>Loads element <paramref name="i"/>, a multiple of <see cref="Step"/>, of as many keys as there are lanes, and the next if it comes along.</summary>
    static abstract void LoadKeys<T>(byte* keys, nint i, out T first, out T second)
        where T : unmanaged, ISimd<T>;

    /// <summary>Where the columns from <paramref name="column"/> on of a page's values begin, bytes.</summary>
    static abstract nint ColumnOffset(int column);

    /// <summary>Where a token's value begins, bytes from there; a pair's may be the same.</summary>
    static abstract nint TokenOffset(nint token, int valueStride);

    /// <summary>Loads as many columns as there are lanes of the values of a token with an even number and of the next, from where the first is.</summary>
    static abstract void LoadValues<T>(byte* value, int valueStride, out T even, out T odd)
        where T : unmanaged, ISimd<T>;

    /// <summary>Loads those of one token, even or odd, from where it is.</summary>
    static abstract T LoadValue<T>(byte* value, bool isOdd)
        where T : unmanaged, ISimd<T>;
}

/// <summary>Keys [elements, 16 tokens], values [16 tokens, columns].</summary>
internal readonly unsafe struct F32Kv : IKvFormat
{
    public static int ElementBytes => sizeof(float);

    public static int Step => 1;

    public static int KeyBytes => sizeof(float);

    public static bool Scaled => false;

    public static int ValueAlignment => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadKeys<T>(byte* keys, nint i, out T first, out T second)
        where T : unmanaged, ISimd<T>
    {
        first = T.Load((float*)keys + (i * 16));
        second = default;
    }

    public static nint ColumnOffset(int column) => column * sizeof(float);

    public static nint TokenOffset(nint token, int valueStride) => token * valueStride * sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadValues<T>(byte* value, int valueStride, out T even, out T odd)
        where T : unmanaged, ISimd<T>
    {
        even = T.Load((float*)value);
        odd = T.Load((float*)value + valueStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T LoadValue<T>(byte* value, bool isOdd)
        where T : unmanaged, ISimd<T> => T.Load((float*)value);
}

/// <summary>
/// Words of two numbers, the first in the upper half, as products of pairs want them: keys [element pairs, 16 tokens, 2]; values [panels of 32 columns, token pairs,
/// 32 columns, 2].
/// </summary>
internal readonly unsafe struct BF16Kv : IKvFormat
{
    /// <summary>Columns of a panel of values.</summary>
    public const int PanelColumns = 32;

    /// <summary>Bytes of a pair of tokens in a panel.</summary>
    public const int PairBytes = PanelColumns * sizeof(uint);

    /// <summary>Bytes of a panel of a page.</summary>
    public const int PanelBytes = 8 * PairBytes;

    public static int ElementBytes => sizeof(ushort);

    public static int Step => 2;

    public static int KeyBytes => 2 * sizeof(ushort);

    public static bool Scaled => false;

    public static int ValueAlignment => PanelColumns;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadKeys<T>(byte* keys, nint i, out T first, out T second)
        where T : unmanaged, ISimd<T> => T.SplitWords(T.Load((float*)(keys + (i * 32))), out second, out first);

    public static nint ColumnOffset(int column) => (column / PanelColumns * PanelBytes) + (column % PanelColumns * sizeof(uint));

    public static nint TokenOffset(nint token, int valueStride) => token / 2 * PairBytes;

    /// <summary>Where a number of a token's value is, in 16-bit words from the page's values.</summary>
    public static int WordOf(int token, int column) =>
        (column / PanelColumns * (PanelBytes / sizeof(ushort))) + (token / 2 * (PairBytes / sizeof(ushort))) + (column % PanelColumns * 2) + 1 - (token % 2);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadValues<T>(byte* value, int valueStride, out T even, out T odd)
        where T : unmanaged, ISimd<T> => T.SplitWords(T.Load((float*)value), out odd, out even);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T LoadValue<T>(byte* value, bool isOdd)
        where T : unmanaged, ISimd<T>
    {
        T.SplitWords(T.Load((float*)value), out T odd, out T even);
        return isOdd ? odd : even;
    }
}

/// <summary>As <see cref="F32Kv"/>, in bytes, with a factor for each key and each value behind them.</summary>
internal readonly unsafe struct Int8Kv : IKvFormat
{
    public static int ElementBytes => sizeof(sbyte);

    public static int Step => 2;

    public static int KeyBytes => sizeof(sbyte);

    public static bool Scaled => true;

    public static int ValueAlignment => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadKeys<T>(byte* keys, nint i, out T first, out T second)
        where T : unmanaged, ISimd<T>
    {
        first = T.LoadSignedBytes((sbyte*)keys + (i * 16));
        second = T.LoadSignedBytes((sbyte*)keys + (i * 16) + 16);
    }

    public static nint ColumnOffset(int column) => column;

    public static nint TokenOffset(nint token, int valueStride) => token * valueStride;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadValues<T>(byte* value, int valueStride, out T even, out T odd)
        where T : unmanaged, ISimd<T>
    {
        even = T.LoadSignedBytes((sbyte*)value);
        odd = T.LoadSignedBytes((sbyte*)value + valueStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T LoadValue<T>(byte* value, bool isOdd)
        where T : unmanaged, ISimd<T> => T.LoadSignedBytes((sbyte*)value);
}
