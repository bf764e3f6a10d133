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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Round(Vector256<uint> bits)
    {
        Vector256<uint> rounded = (bits + Vector256.Create(0x7FFFu) + ((bits >> 16) & Vector256<uint>.One)) & Vector256.Create(0xFFFF0000u);
        Vector256<uint> number = Vector256.Equals(bits.AsSingle(), bits.AsSingle()).AsUInt32();

        // A NaN's payload may lie in the bits that go: the quiet bit keeps it from becoming an infinity.
        return Vector256.ConditionalSelect(number, rounded, (bits | Vector256.Create(0x00400000u)) & Vector256.Create(0xFFFF0000u));
    }
}
