using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// How the bits of a block's elements lie (<see cref="QuantisedFormat"/>). Quads of columns 0 to 3 and those 4 further are read apart: <c>quad</c> is 0 to 3, and known to the compiler.
/// </summary>
internal unsafe interface IInt8Elements<TInt>
{
    /// <summary>The most an element can be.</summary>
    static abstract int Largest { get; }

    /// <summary>Bytes of some outputs' quad, from their lower and their higher bits, which begin with the block's.</summary>
    static abstract TInt First(byte* low, byte* high, int quad);

    /// <summary>The same of the fourth quad after it.</summary>
    static abstract TInt Second(byte* low, byte* high, int quad);
}

/// <summary>Eight bits: Q8_0.</summary>
internal unsafe struct ByteElements<TInt, TFloat> : IInt8Elements<TInt>
    where TInt : unmanaged, IIntegers<TInt, TFloat>
    where TFloat : unmanaged, ISimd<TFloat>
{
    public static int Largest => 255;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt First(byte* low, byte* high, int quad) => TInt.Load(low + (QuantisedFormat.QuadBytes * quad));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt Second(byte* low, byte* high, int quad) => TInt.Load(low + (QuantisedFormat.QuadBytes * (quad + 4)));
}

/// <summary>Four bits: Q4_0, Q4_K.</summary>
internal unsafe struct NibbleElements<TInt, TFloat> : IInt8Elements<TInt>
    where TInt : unmanaged, IIntegers<TInt, TFloat>
    where TFloat : unmanaged, ISimd<TFloat>
{
    public static int Largest => 15;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt First(byte* low, byte* high, int quad) => TInt.Load(low + (QuantisedFormat.QuadBytes * quad)) & TInt.Broadcast(0x0F0F_0F0F);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt Second(byte* low, byte* high, int quad) =>
        TInt.ShiftWordsDown(TInt.Load(low + (QuantisedFormat.QuadBytes * quad)), 4) & TInt.Broadcast(0x0F0F_0F0F);
}

/// <summary>A fifth bit: Q5_K. That of quad q is bit q, and belongs above the lower four.</summary>
internal unsafe struct FiveBitElements<TInt, TFloat> : IInt8Elements<TInt>
    where TInt : unmanaged, IIntegers<TInt, TFloat>
    where TFloat : unmanaged, ISimd<TFloat>
{
    public static int Largest => 31;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt First(byte* low, byte* high, int quad) =>
        NibbleElements<TInt, TFloat>.First(low, high, quad) | (TInt.ShiftWordsUp(TInt.Load(high), 4 - quad) & TInt.Broadcast(0x1010_1010));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt Second(byte* low, byte* high, int quad) =>
        NibbleElements<TInt, TFloat>.Second(low, high, quad) | (TInt.ShiftWordsDown(TInt.Load(high), quad) & TInt.Broadcast(0x1010_1010));
}

/// <summary>Two further bits: Q6_K. Those of quad q are bits 2 (q mod 4) and the next of byte q / 4.</summary>
internal unsafe struct SixBitElements<TInt, TFloat> : IInt8Elements<TInt>
    where TInt : unmanaged, IIntegers<TInt, TFloat>
    where TFloat : unmanaged, ISimd<TFloat>
{
    public static int Largest => 63;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt First(byte* low, byte* high, int quad) => NibbleElements<TInt, TFloat>.First(low, high, quad) | Upper(high, quad);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt Second(byte* low, byte* high, int quad) =>
        NibbleElements<TInt, TFloat>.Second(low, high, quad) | Upper(high + QuantisedFormat.QuadBytes, quad);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TInt Upper(byte* high, int quad) =>
        (quad < 3 ? TInt.ShiftWordsUp(TInt.Load(high), 4 - (2 * quad)) : TInt.ShiftWordsDown(TInt.Load(high), 2)) & TInt.Broadcast(0x3030_3030);
}
