using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sluice.Cpu.Assembly;

namespace Sluice.Cpu.Kernels;

/// <summary>Rows of activations rounded to what fast products take. The same bits on every processor.</summary>
internal static unsafe class RowRounding
{
    /// <summary>The nearest bfloat16 of each number, ties to even, as float32; a NaN stays one.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void ToBFloat16(float* x, int columns, float* y)
    {
        int c = 0;
        for (; c + 8 <= columns; c += 8)
            Round(Vector256.Load(x + c).AsUInt32()).AsSingle().Store(y + c);
        for (; c < columns; c++)
            y[c] = Round(Vector256.CreateScalar(x[c]).AsUInt32()).AsSingle().ToScalar();
    }

    /// <summary>The same, packed into a tile: pairs of columns, the first in the upper half. Missing columns of the last block are zero.</summary>
    /// <param name="x">The row.</param>
    /// <param name="columns">Its columns.</param>
    /// <param name="to">The row's record of the first block.</param>
    /// <param name="stride">Bytes from one block's record to the next.</param>
    [MethodImpl(Jit.Kernel)]
    public static void PackBFloat16(float* x, int columns, byte* to, nint stride)
    {
        for (int block = 0; block < columns; block += RowPacking.BlockColumns, to += stride)
        {
            ushort* words = (ushort*)to;
            int end = Math.Min(RowPacking.BlockColumns, columns - block);
            int c = 0;
            for (; c + 16 <= end; c += 16)
            {
                Vector256<uint> first = Round(Vector256.Load(x + block + c).AsUInt32()) >> 16;
                Vector256<uint> second = Round(Vector256.Load(x + block + c + 8).AsUInt32()) >> 16;
                Vector256<uint> pairs = Vector256.Narrow(first, second).AsUInt32();
                ((pairs << 16) | (pairs >> 16)).Store((uint*)(words + c));
            }

            for (; c < RowPacking.BlockColumns; c++)
                words[c ^ 1] = c < end ? (ushort)(Round(Vector256.CreateScalar(x[block + c]).AsUInt32()).ToScalar() >> 16) : (ushort)0;
        }
    }

    /// <summary>
    /// The row in INT8, packed into a tile: the nearest multiple of a 127th of the largest of each 32 columns. A block with a NaN or an
    /// infinity has a NaN for its factor.
    /// </summary>
    /// <param name="x">The row.</param>
    /// <param name="columns">Its columns.</param>
    /// <param name="blocks">Blocks to write; those beyond the columns are zero.</param>
    /// <param name="offset">What the weights are stored too large by.</param>
    /// <param name="byHalves">Whether 16 columns of weights have a factor of their own.</param>
    /// <param name="to">The row's record of the first block.</param>
    /// <param name="stride">Bytes from one block's record to the next.</param>
    [MethodImpl(Jit.Kernel)]
    public static void PackInt8(float* x, int columns, int blocks, int offset, bool byHalves, byte* to, nint stride)
    {
        float* padded = stackalloc float[RowPacking.BlockColumns];
        for (int block = 0; block < blocks; block++, to += stride)
        {
            int have = Math.Clamp(columns - (block * RowPacking.BlockColumns), 0, RowPacking.BlockColumns);
            float* from = x + (block * RowPacking.BlockColumns);
            if (have < RowPacking.BlockColumns)
            {
                new Span<float>(padded, RowPacking.BlockColumns).Clear();
                new Span<float>(from, have).CopyTo(new Span<float>(padded, have));
                from = padded;
            }

            PackInt8Block(from, offset, byHalves, to);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PackInt8Block(float* x, int offset, bool byHalves, byte* to)
    {
        // Below this the reciprocal would not be finite; what is so small is nothing.
        const float Smallest = 1e-30f;
        Vector256<float> a = Vector256.Load(x), b = Vector256.Load(x + 8), c = Vector256.Load(x + 16), d = Vector256.Load(x + 24);
        Vector256<float> largest = Vector256.MaxNative(
            Vector256.MaxNative(Vector256.Abs(a), Vector256.Abs(b)), Vector256.MaxNative(Vector256.Abs(c), Vector256.Abs(d)));
        Vector128<float> four = Vector128.MaxNative(largest.GetLower(), largest.GetUpper());
        float most = MathF.Max(MathF.Max(four[0], four[1]), MathF.Max(four[2], four[3]));
        float poison = Vector256.Sum((a * 0f) + (b * 0f) + ((c * 0f) + (d * 0f)));
        bool isNothing = !(most >= Smallest);
        var reciprocal = Vector256.Create(isNothing ? 0f : 127f / most);
        float factor = (isNothing ? 0f : most / 127f) + poison;

        Vector256<int> i = Nearest(a * reciprocal), j = Nearest(b * reciprocal), k = Nearest(c * reciprocal), l = Nearest(d * reciprocal);
        int first = Vector256.Sum(i + j);
        int second = Vector256.Sum(k + l);
        Vector256.Narrow(Vector256.Narrow(i, j), Vector256.Narrow(k, l)).Store((sbyte*)to);
        int* initial = (int*)(to + RowPacking.BlockColumns);
        initial[0] = -offset * (byHalves ? first : first + second);
        initial[1] = -offset * second;
        float* factors = (float*)(initial + 2);
        factors[0] = factor;
        factors[1] = factor * (first + second);
    }

    /// <summary>The nearest integers, ties to even: adding 1.5 * 2^23 leaves them in the lowest bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Nearest(Vector256<float> x) =>
        (x + Vector256.Create(12582912f)).AsInt32() - Vector256.Create(0x4B400000);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Round(Vector256<uint> bits)
    {
        Vector256<uint> rounded = (bits + Vector256.Create(0x7FFFu) + ((bits >> 16) & Vector256<uint>.One)) & Vector256.Create(0xFFFF0000u);
        Vector256<uint> number = Vector256.Equals(bits.AsSingle(), bits.AsSingle()).AsUInt32();

        // A NaN's payload may lie in the bits that go: the quiet bit keeps it from becoming an infinity.
        return Vector256.ConditionalSelect(number, rounded, (bits | Vector256.Create(0x00400000u)) & Vector256.Create(0xFFFF0000u));
    }
}
