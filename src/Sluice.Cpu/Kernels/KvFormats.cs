using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// How keys and values of one type lie in a head's part of a page, and how they become float32 in registers: elements of a key by tokens, so that a register
/// has one element of as many keys as it has lanes; values token by token.
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

    /// <summary>Which columns of a value the two registers of a step have.</summary>
    static abstract (int First, int Second) ColumnsOf<T>(int step, int valueStride)
        where T : unmanaged, ISimd<T>;

    /// <summary>Where <see cref="LoadValue"/> finds the columns that begin with <paramref name="column"/>, bytes from the value's start.</summary>
    static abstract nint OffsetOf(int column);

    /// <summary>Loads two registers of a value.</summary>
    static abstract void LoadValue<T>(byte* value, nint first, nint second, out T a, out T b)
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

    /// <summary>Neighbours; an odd last register is computed twice: the same numbers to the same place.</summary>
    public static (int First, int Second) ColumnsOf<T>(int step, int valueStride)
        where T : unmanaged, ISimd<T> => (2 * step * T.Lanes, Math.Min(((2 * step) + 1) * T.Lanes, valueStride - T.Lanes));

    public static nint OffsetOf(int column) => column * sizeof(float);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadValue<T>(byte* value, nint first, nint second, out T a, out T b)
        where T : unmanaged, ISimd<T>
    {
        a = T.Load((float*)(value + first));
        b = T.Load((float*)(value + second));
    }
}

/// <summary>
/// Words of two numbers, which one load, a shift and a mask make two registers of: keys [element pairs, 16 tokens, 2]; values [16 tokens, blocks of 32 columns,
/// 16, 2], column c beside column 16 + c of its block.
/// </summary>
internal readonly unsafe struct BF16Kv : IKvFormat
{
    public static int ElementBytes => sizeof(ushort);

    public static int Step => 2;

    public static int KeyBytes => 2 * sizeof(ushort);

    public static bool Scaled => false;

    public static int ValueAlignment => 32;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadKeys<T>(byte* keys, nint i, out T first, out T second)
        where T : unmanaged, ISimd<T> => T.SplitWords(T.Load((float*)(keys + (i * 32))), out first, out second);

    public static (int First, int Second) ColumnsOf<T>(int step, int valueStride)
        where T : unmanaged, ISimd<T>
    {
        (int block, int register) = Math.DivRem(step, 16 / T.Lanes);
        int column = (32 * block) + (register * T.Lanes);
        return (column, column + 16);
    }

    public static nint OffsetOf(int column) => ((column & ~31) * sizeof(ushort)) + ((column & 15) * 2 * sizeof(ushort)) + ((column & 16) / 16 * sizeof(ushort));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadValue<T>(byte* value, nint first, nint second, out T a, out T b)
        where T : unmanaged, ISimd<T> => T.SplitWords(T.Load((float*)(value + first)), out a, out b);
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

    public static (int First, int Second) ColumnsOf<T>(int step, int valueStride)
        where T : unmanaged, ISimd<T> => F32Kv.ColumnsOf<T>(step, valueStride);

    public static nint OffsetOf(int column) => column;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void LoadValue<T>(byte* value, nint first, nint second, out T a, out T b)
        where T : unmanaged, ISimd<T>
    {
        a = T.LoadSignedBytes((sbyte*)value + first);
        b = T.LoadSignedBytes((sbyte*)value + second);
    }
}
