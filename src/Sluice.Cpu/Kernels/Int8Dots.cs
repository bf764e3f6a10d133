using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// How a processor multiplies bytes of weights with bytes of rows: four products to a lane, exactly, in a pair of steps. Sums are kept as it likes
/// best (<c>partial</c>) for a block, then widened to int32.
/// </summary>
/// <typeparam name="TInt">The register.</typeparam>
internal interface IInt8Dot<TInt>
{
    /// <summary>Whether weights and rows are taken as words: a pair of steps is even columns of a quad and odd ones. Otherwise it is two quads.</summary>
    static abstract bool IsInWords { get; }

    /// <summary>Whether weights have signs. Those stored 128 too large then lose that.</summary>
    static abstract bool IsSigned { get; }

    /// <summary>The largest element with which no sum overflows.</summary>
    static abstract int MostElement { get; }

    /// <summary>Adds the products of weights with a row's columns, which all lanes have, in two steps.</summary>
    static abstract TInt Add(TInt partial, TInt weights, TInt row, TInt nextWeights, TInt nextRow);

    /// <summary>Partial sums as int32.</summary>
    static abstract TInt Widen(TInt partial);
}

/// <summary>AVX-VNNI.</summary>
internal struct VnniDot : IInt8Dot<I256>
{
    public static bool IsInWords => false;

    public static bool IsSigned => false;

    public static int MostElement => 255;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 Add(I256 partial, I256 weights, I256 row, I256 nextWeights, I256 nextRow)
    {
        Vector256<int> first = AvxVnni.MultiplyWideningAndAdd(partial.Register, weights.Register.AsByte(), row.Register.AsSByte());
        return new() { Register = AvxVnni.MultiplyWideningAndAdd(first, nextWeights.Register.AsByte(), nextRow.Register.AsSByte()) };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 Widen(I256 partial) => partial;
}

/// <summary>AVX2, for weights of four bits: products of bytes in words of 16 bits, where those of a whole block, 16 times 127 times 15, cannot overflow.</summary>
internal struct NibbleDot : IInt8Dot<I256>
{
    public static bool IsInWords => false;

    public static bool IsSigned => false;

    public static int MostElement => 15;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 Add(I256 partial, I256 weights, I256 row, I256 nextWeights, I256 nextRow)
    {
        Vector256<short> first = partial.Register.AsInt16() + Avx2.MultiplyAddAdjacent(weights.Register.AsByte(), row.Register.AsSByte());
        return new() { Register = (first + Avx2.MultiplyAddAdjacent(nextWeights.Register.AsByte(), nextRow.Register.AsSByte())).AsInt32() };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 Widen(I256 partial) => I256.MultiplyWords(partial, I256.Broadcast(0x0001_0001));
}

/// <summary>AVX2, for weights of five and six bits: products of bytes in words of 16 bits, where those of a pair of steps, 4 times 127 times 63, cannot overflow.</summary>
internal struct SixBitDot : IInt8Dot<I256>
{
    public static bool IsInWords => false;

    public static bool IsSigned => false;

    public static int MostElement => 63;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 Add(I256 partial, I256 weights, I256 row, I256 nextWeights, I256 nextRow)
    {
        Vector256<short> words = Avx2.MultiplyAddAdjacent(weights.Register.AsByte(), row.Register.AsSByte())
            + Avx2.MultiplyAddAdjacent(nextWeights.Register.AsByte(), nextRow.Register.AsSByte());
        return new() { Register = partial.Register + Avx2.MultiplyAddAdjacent(words, Vector256<short>.One) };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 Widen(I256 partial) => partial;
}

/// <summary>Words: weights of eight bits in AVX2, whose products of bytes would overflow, and everything in 128 bits without a dot product.</summary>
internal struct WordDot<TInt, TFloat> : IInt8Dot<TInt>
    where TInt : unmanaged, IIntegers<TInt, TFloat>
    where TFloat : unmanaged, ISimd<TFloat>
{
    public static bool IsInWords => true;

    public static bool IsSigned => false;

    public static int MostElement => 255;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt Add(TInt partial, TInt weights, TInt row, TInt nextWeights, TInt nextRow) =>
        partial + TInt.MultiplyWords(weights, row) + TInt.MultiplyWords(nextWeights, nextRow);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt Widen(TInt partial) => partial;
}

/// <summary>Arm's dot product.</summary>
internal struct ArmDot : IInt8Dot<I128>
{
    public static bool IsInWords => false;

    public static bool IsSigned => true;

    public static int MostElement => 255;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 Add(I128 partial, I128 weights, I128 row, I128 nextWeights, I128 nextRow)
    {
        Vector128<int> first = Dp.DotProduct(partial.Register, weights.Register.AsSByte(), row.Register.AsSByte());
        return new() { Register = Dp.DotProduct(first, nextWeights.Register.AsSByte(), nextRow.Register.AsSByte()) };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 Widen(I128 partial) => partial;
}
