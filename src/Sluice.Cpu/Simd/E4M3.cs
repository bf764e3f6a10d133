using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Sluice.Cpu.Kernels;

namespace Sluice.Cpu.Simd;

/// <summary>
/// E4M3 bytes to the lower and the upper bytes of the BF16 numbers they equal. All E4M3 numbers are BF16 numbers.
/// </summary>
/// <remarks>
/// Without an instruction that looks up in 128 bytes: for a normal number, <c>s eeee mmm</c> becomes
/// <c>s (eeee + 120) mmm 0000</c>, so its upper byte follows from the upper four bits, and its lower byte is the lower four, shifted.
/// A subnormal number, <c>s 0000 mmm</c>, needs another exponent for each m: what that formula lacks is added. NaN is <c>1111 111</c>.
/// </remarks>
internal static unsafe class E4M3
{
    private const byte Sign = 0x80;

    /// <summary>All bits that are zero in a subnormal number.</summary>
    private const byte Normal = 0x78;

    private static Vector128<byte> UpperOfNibble
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector128.Create(
            (byte)0x3C, 0x3D, 0x3E, 0x3F, 0x40, 0x41, 0x42, 0x43, 0xBC, 0xBD, 0xBE, 0xBF, 0xC0, 0xC1, 0xC2, 0xC3);
    }

    private static Vector128<byte> LowerOfNibble
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector128.Create(
            (byte)0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0x90, 0xA0, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0);
    }

    private static Vector128<byte> SubnormalUpper
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector128.Create(
            (byte)0xC4, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00);
    }

    private static Vector128<byte> SubnormalLower
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector128.Create(
            (byte)0x00, 0xF0, 0x60, 0x90, 0xC0, 0xD0, 0xE0, 0xF0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00);
    }

    /// <summary>
    /// Pairs of columns of a panel, a byte of outputs j and 16 + j of both columns next to each other, as a panel of BF16 has them.
    /// </summary>
    [MethodImpl(Jit.Kernel)]
    public static void ToBFloat16Pairs(byte* weights, int pairs, byte* to)
    {
        E4M3Tables tables = E4M3Tables.Load();
        Vector512<uint> first = Vector512.Create(0x0000FFFFu);
        for (int pair = 0; pair < pairs; pair++, weights += 64, to += 128)
        {
            // As far ahead as one thread's memory needs.
            Sse.Prefetch0(weights + 3072);
            (Vector512<byte> lower, Vector512<byte> upper) = Decode(Vector512.Load(weights), tables);

            // Words of outputs j (lower) and 16 + j (upper) of the first column, then of the second.
            Vector512<uint> firsts = Avx512BW.UnpackLow(lower, upper).AsUInt32();
            Vector512<uint> seconds = Avx512BW.UnpackHigh(lower, upper).AsUInt32();
            ((firsts << 16) | (seconds & first)).Store((uint*)to);
            ((seconds >> 16) | (firsts & ~first)).Store((uint*)(to + 64));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector512<byte> Lower, Vector512<byte> Upper) Decode(Vector512<byte> x, in E4M3Tables tables)
    {
        if (Avx512Vbmi.IsSupported)
        {
            return (
                Avx512Vbmi.PermuteVar64x8x2(tables.Lower0, x, tables.Lower1),
                Avx512Vbmi.PermuteVar64x8x2(tables.Upper0, x, tables.Upper1) | (x & Vector512.Create(Sign)));
        }

        Vector512<byte> nibble = x & Vector512.Create((byte)0x0F);
        Vector512<byte> subnormal = Vector512.Equals(x & Vector512.Create(Normal), Vector512<byte>.Zero);
        Vector512<byte> upper = Look(UpperOfNibble, (x.AsUInt16() >> 4).AsByte() & Vector512.Create((byte)0x0F));
        upper += Look(SubnormalUpper, nibble) & subnormal;
        upper |= Vector512.Equals(x | Vector512.Create(Sign), Vector512<byte>.AllBitsSet) & Vector512.Create((byte)0x7F);
        return (Look(LowerOfNibble, nibble) + (Look(SubnormalLower, nibble) & subnormal), upper);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector512<byte> Look(Vector128<byte> table, Vector512<byte> index) =>
            Avx512BW.Shuffle(Vector512.Create(Vector256.Create(table, table), Vector256.Create(table, table)), index);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<byte> Lower, Vector256<byte> Upper) Decode(Vector256<byte> x)
    {
        Vector256<byte> nibble = x & Vector256.Create((byte)0x0F);
        Vector256<byte> subnormal = Vector256.Equals(x & Vector256.Create(Normal), Vector256<byte>.Zero);
        Vector256<byte> upper = Look(UpperOfNibble, (x.AsUInt16() >> 4).AsByte() & Vector256.Create((byte)0x0F));
        upper += Look(SubnormalUpper, nibble) & subnormal;
        upper |= Vector256.Equals(x | Vector256.Create(Sign), Vector256<byte>.AllBitsSet) & Vector256.Create((byte)0x7F);
        return (Look(LowerOfNibble, nibble) + (Look(SubnormalLower, nibble) & subnormal), upper);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<byte> Look(Vector128<byte> table, Vector256<byte> index) => Avx2.Shuffle(Vector256.Create(table, table), index);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector128<byte> Lower, Vector128<byte> Upper) Decode(Vector128<byte> x)
    {
        Vector128<byte> nibble = x & Vector128.Create((byte)0x0F);
        Vector128<byte> subnormal = Vector128.Equals(x & Vector128.Create(Normal), Vector128<byte>.Zero);
        Vector128<byte> upper = Vector128.ShuffleNative(UpperOfNibble, (x.AsUInt16() >> 4).AsByte() & Vector128.Create((byte)0x0F));
        upper += Vector128.ShuffleNative(SubnormalUpper, nibble) & subnormal;
        upper |= Vector128.Equals(x | Vector128.Create(Sign), Vector128<byte>.AllBitsSet) & Vector128.Create((byte)0x7F);
        return (
            Vector128.ShuffleNative(LowerOfNibble, nibble) + (Vector128.ShuffleNative(SubnormalLower, nibble) & subnormal), upper);
    }
}
