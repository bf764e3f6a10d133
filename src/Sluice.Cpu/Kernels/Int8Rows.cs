using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// Rows of activations in INT8: a row has a factor, a 127th of its largest number, and each 32 columns a power of two up to 1 that makes the
/// most of eight bits. Powers of two cost products nothing (<see cref="RowPacking"/> says how), where a factor of each block's own
/// would cost them a multiplication for every eight products.
/// </summary>
internal static unsafe class Int8Rows
{
    /// <summary>Below this the reciprocal of a row's factor would not be finite; what is so small is nothing.</summary>
    private const float Smallest = 1e-30f;

    /// <summary>The smallest power of two: a millionth of the row's factor.</summary>
    private const int LeastExponent = -20;

    /// <summary>A little less than a 127th, so that a power of two is not taken for more than one after rounding.</summary>
    private const float Shrink = (float)((1 - (1 / 1048576.0)) / 127);

    /// <summary>1.5 * 2^23: numbers near it differ in their lowest bits by what they differ.</summary>
    private const int MagicBits = 0x4B400000;

    /// <summary>Packs a row into a tile. One with a NaN or an infinity has a NaN for its factor.</summary>
    /// <param name="x">The row.</param>
    /// <param name="columns">Its columns.</param>
    /// <param name="blocks">Blocks to write, whole superblocks; columns beyond the row's are zero.</param>
    /// <param name="offset">What the weights are stored too large by; those stored without an offset get the sums of blocks.</param>
    /// <param name="byHalves">Whether 16 columns of weights have a factor of their own.</param>
    /// <param name="to">The row's record of the first block.</param>
    /// <param name="stride">Bytes from one block's record to the next.</param>
    [MethodImpl(Jit.Kernel)]
    public static void Pack(float* x, int columns, int blocks, int offset, bool byHalves, byte* to, nint stride)
    {
        Debug.Assert(blocks % QuantisedFormat.Blocks == 0, "whole superblocks");
        float largest = BitConverter.Int32BitsToSingle(LargestBits(x, columns));
        bool isNothing = !(largest >= Smallest && float.IsFinite(largest));
        float scale = isNothing ? 0 : 127f / largest;
        float factor = isNothing ? largest * 0 : largest / 127f;
        float* padded = stackalloc float[RowPacking.BlockColumns];
        for (int block = 0; block < blocks; block += QuantisedFormat.Blocks, to += QuantisedFormat.Blocks * stride)
        {
            for (int i = 0; i < QuantisedFormat.Blocks; i++)
            {
                float* from = x + ((block + i) * RowPacking.BlockColumns);
                int have = Math.Clamp(columns - ((block + i) * RowPacking.BlockColumns), 0, RowPacking.BlockColumns);
                if (have < RowPacking.BlockColumns || isNothing)
                {
                    new Span<float>(padded, RowPacking.BlockColumns).Clear();
                    if (!isNothing)
                        new Span<float>(from, have).CopyTo(new Span<float>(padded, have));
                    from = padded;
                }

                (int sum, int exponent) = PackBlock(from, scale, offset, byHalves, to + (i * stride));
                if (offset == 0)
                    ((short*)(to + (i / 2 * 2 * stride) + RowPacking.Int8SharedAt))[i % 2] = SumOfBlock(sum, exponent);
            }

            *(float*)(to + ((QuantisedFormat.Blocks - 1) * stride) + RowPacking.Int8SharedAt) = factor;
        }
    }

    /// <summary>A block's sum in eighths of the row's factor: exact unless the block's own factor is less than that.</summary>
    private static short SumOfBlock(int sum, int exponent) =>
        (short)(((sum << RowPacking.Int8SumBits) + ((1 << -exponent) >> 1)) >> -exponent);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (int Sum, int Exponent) PackBlock(float* x, float scale, int offset, bool byHalves, byte* to)
    {
        // The least power of two with which the block's largest number is at most 127.
        float ratio = BitConverter.Int32BitsToSingle(LargestBitsOfBlock(x)) * scale * Shrink;
        int exponent = Math.Clamp((BitConverter.SingleToInt32Bits(ratio) >> 23) - 126, LeastExponent, 0);
        float factor = scale * BitConverter.Int32BitsToSingle((127 - exponent) << 23);
        int first, second;
        if (Vector512.IsHardwareAccelerated && Avx512F.IsSupported)
        {
            var wide = Vector512.Create(factor);
            Vector128<sbyte> low = Avx512F.ConvertToVector128SByte(Nearest(Vector512.Load(x) * wide));
            Vector128<sbyte> high = Avx512F.ConvertToVector128SByte(Nearest(Vector512.Load(x + 16) * wide));
            low.Store((sbyte*)to);
            high.Store((sbyte*)to + 16);
            first = Sum(low);
            second = Sum(high);
        }
        else
        {
            var wide = Vector256.Create(factor);
            Vector256<int> i = Nearest(Vector256.Load(x) * wide), j = Nearest(Vector256.Load(x + 8) * wide);
            Vector256<int> k = Nearest(Vector256.Load(x + 16) * wide), l = Nearest(Vector256.Load(x + 24) * wide);
            Vector256.Narrow(Vector256.Narrow(i, j), Vector256.Narrow(k, l)).Store((sbyte*)to);
            first = Vector256.Sum(i + j);
            second = Vector256.Sum(k + l);
        }

        int sum = first + second;
        int magic = MagicBits + (exponent << 23);
        int* initial = (int*)(to + RowPacking.Int8InitialAt);
        initial[0] = magic - (offset * (byHalves ? first : sum));
        initial[1] = magic - (offset * second);
        *(int*)(to + RowPacking.Int8MagicAt) = magic;
        return (sum, exponent);
    }

    /// <summary>The sum of 16 bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Sum(Vector128<sbyte> x)
    {
        Vector128<int> sums = Sse2.SumAbsoluteDifferences(x.AsByte() ^ Vector128.Create((byte)0x80), Vector128<byte>.Zero).AsInt32();
        return sums[0] + sums[2] - (16 * 128);
    }

    /// <summary>The bits of the largest magnitude; at least an infinity's if there is an infinity or a NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int LargestBits(float* x, int count)
    {
        var largest = Vector256<int>.Zero;
        int i = 0;
        for (; i + 32 <= count; i += 32)
        {
            largest = Vector256.Max(
                Vector256.Max(largest, Vector256.Max(Magnitude(x + i), Magnitude(x + i + 8))),
                Vector256.Max(Magnitude(x + i + 16), Magnitude(x + i + 24)));
        }

        int most = Largest(largest);
        for (; i < count; i++)
            most = Math.Max(most, BitConverter.SingleToInt32Bits(x[i]) & int.MaxValue);
        return most;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int LargestBitsOfBlock(float* x)
    {
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<int> magnitude = Vector512.Create(int.MaxValue);
            Vector512<int> both = Vector512.Max(Vector512.Load((int*)x) & magnitude, Vector512.Load((int*)x + 16) & magnitude);
            return Largest(Vector256.Max(both.GetLower(), both.GetUpper()));
        }

        return Largest(Vector256.Max(
            Vector256.Max(Magnitude(x), Magnitude(x + 8)), Vector256.Max(Magnitude(x + 16), Magnitude(x + 24))));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Magnitude(float* x) => Vector256.Load((int*)x) & Vector256.Create(int.MaxValue);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Largest(Vector256<int> x)
    {
        Vector128<int> four = Vector128.Max(x.GetLower(), x.GetUpper());
        four = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }

    /// <summary>The nearest integers, ties to even: adding 1.5 * 2^23 leaves them in the lowest bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Nearest(Vector256<float> x) => (x + Vector256.Create(12582912f)).AsInt32() - Vector256.Create(MagicBits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Nearest(Vector512<float> x) => (x + Vector512.Create(12582912f)).AsInt32() - Vector512.Create(MagicBits);
}
