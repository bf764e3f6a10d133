using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// How a processor multiplies bytes of weights with bytes of rows: four products to a lane, exactly. Sums are kept as it likes best (<c>partial</c>) for a few steps, then
/// widened to int32.
/// </summary>
/// <typeparam name="TInt">The register.</typeparam>
internal interface IInt8Dot<TInt>
{
    /// <summary>Whether weights and rows are taken as words: even columns of a quad and odd ones, a step each. Otherwise a quad is a step.</summary>
    static abstract bool IsInWords { get; }

    /// <summary>Whether weights have signs. Those stored 128 too large then lose that.</summary>
    static abstract bool IsSigned { get; }

    /// <summary>Pairs of steps after which partial sums must be widened, where no weight is more than <paramref name="largest"/>.</summary>
    static abstract int PairsOf(int largest);

    /// <summary>Adds the products of weights with a row's columns, which all lanes have.</summary>
    static abstract TInt Add(TInt partial, TInt weights, TInt row);

    /// <summary>Partial sums as int32.</summary>
    static abstract TInt Widen(TInt partial);
}

/// <summary>AVX-VNNI.</summary>
internal struct VnniDot : IInt8Dot<I256>
{
    public static bool IsInWords => false;

    public static bool IsSigned => false;

    public static int PairsOf(int largest) => int.MaxValue;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 Add(I256 partial, I256 weights, I256 row) =>
        new() { Register = AvxVnni.MultiplyWideningAndAdd(partial.Register, weights.Register.AsByte(), row.Register.AsSByte()) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 Widen(I256 partial) => partial;
}

/// <summary>
/// AVX2, for weights of up to six bits: products of bytes in words of 16 bits, as many of which are added there as cannot overflow, 2 * 127 times the largest weight each.
/// </summary>
internal struct ByteDot : IInt8Dot<I256>
{
    public static bool IsInWords => false;

    public static bool IsSigned => false;

    public static int PairsOf(int largest) => short.MaxValue / (2 * 127 * largest) / 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 Add(I256 partial, I256 weights, I256 row) =>
        new() { Register = (partial.Register.AsInt16() + Avx2.MultiplyAddAdjacent(weights.Register.AsByte(), row.Register.AsSByte())).AsInt32() };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I256 Widen(I256 partial) => I256.MultiplyWords(partial, I256.Broadcast(0x0001_0001));
}

/// <summary>Words: weights of eight bits in AVX2, whose products of bytes would overflow, and everything in 128 bits.</summary>
internal struct WordDot<TInt, TFloat> : IInt8Dot<TInt>
    where TInt : unmanaged, IIntegers<TInt, TFloat>
    where TFloat : unmanaged, ISimd<TFloat>
{
    public static bool IsInWords => true;

    public static bool IsSigned => false;

    public static int PairsOf(int largest) => int.MaxValue;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt Add(TInt partial, TInt weights, TInt row) => partial + TInt.MultiplyWords(weights, row);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TInt Widen(TInt partial) => partial;
}

/// <summary>Arm's dot product.</summary>
internal struct ArmDot : IInt8Dot<I128>
{
    public static bool IsInWords => false;

    public static bool IsSigned => true;

    public static int PairsOf(int largest) => int.MaxValue;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 Add(I128 partial, I128 weights, I128 row) =>
        new() { Register = Dp.DotProduct(partial.Register, weights.Register.AsSByte(), row.Register.AsSByte()) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static I128 Widen(I128 partial) => partial;
}
