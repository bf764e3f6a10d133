using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Sluice.Cpu.Weights;

/// <summary>
/// From 32 rows, <c>stride</c> bytes apart, to a panel in the order <see cref="IWeightFormat"/> describes. Rows are readable to
/// 16 bytes beyond the columns; columns are even.
/// </summary>
internal static unsafe class PanelInterleave
{
    /// <summary>4-byte elements: [columns, 32].</summary>
    public static void Words32(byte* rows, int stride, int columns, uint* panel)
    {
        for (int c = 0; c < columns; c++)
        {
            for (int slot = 0; slot < 32; slot++)
                panel[(c * 32) + slot] = ((uint*)(rows + (slot * (long)stride)))[c];
        }
    }

    /// <summary>2-byte elements by pairs of columns: [column pairs, 32 rows, 2], the first column in the upper half of a word.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ColumnPairs16(byte* rows, int stride, int columns, uint* panel)
    {
        int pairs = columns / 2;
        int p = 0;
        for (; p + 4 <= pairs; p += 4)
        {
            for (int j = 0; j < 32; j += 4)
            {
                byte* at = rows + (j * (long)stride) + (4 * p);
                StoreTransposed(
                    Swap(at), Swap(at + stride), Swap(at + (2 * (long)stride)), Swap(at + (3 * (long)stride)), panel + (p * 32) + j, 32);
            }
        }

        for (; p < pairs; p++)
        {
            for (int j = 0; j < 32; j++)
                panel[(p * 32) + j] = uint.RotateLeft(((uint*)(rows + (j * (long)stride)))[p], 16);
        }
    }

    /// <summary>2-byte elements: [columns, 16 pairs (row j, row 16 + j)].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Words16(byte* rows, int stride, int columns, uint* panel)
    {
        int c = 0;
        for (; c + 8 <= columns; c += 8)
        {
            for (int j = 0; j < 16; j += 4)
            {
                byte* at = rows + (j * (long)stride) + (2 * c);
                (Vector128<uint> a0, Vector128<uint> a1) = Pair(at, 16 * (long)stride);
                (Vector128<uint> b0, Vector128<uint> b1) = Pair(at + stride, 16 * (long)stride);
                (Vector128<uint> c0, Vector128<uint> c1) = Pair(at + (2 * (long)stride), 16 * (long)stride);
                (Vector128<uint> d0, Vector128<uint> d1) = Pair(at + (3 * (long)stride), 16 * (long)stride);
                StoreTransposed(a0, b0, c0, d0, panel + (c * 16) + j, 16);
                StoreTransposed(a1, b1, c1, d1, panel + ((c + 4) * 16) + j, 16);
            }
        }

        for (; c < columns; c++)
        {
            for (int j = 0; j < 16; j++)
            {
                uint low = ((ushort*)(rows + (j * (long)stride)))[c];
                uint high = ((ushort*)(rows + ((16 + j) * (long)stride)))[c];
                panel[(c * 16) + j] = low | (high << 16);
            }
        }
    }

    /// <summary>1-byte elements: [column pairs, 4 quarters, 2 columns, 4 pairs (row j, row 16 + j)].</summary>
    public static void Bytes(byte* rows, int stride, int columns, ushort* panel)
    {
        for (int j = 0; j < 16; j++)
        {
            byte* low = rows + (j * (long)stride);
            byte* high = rows + ((16 + j) * (long)stride);
            ushort* to = panel + (j / 4 * 8) + (j % 4);
            for (int c = 0; c < columns; c += 2, to += 32)
            {
                to[0] = (ushort)(low[c] | (high[c] << 8));
                to[4] = (ushort)(low[c + 1] | (high[c + 1] << 8));
            }
        }
    }

    /// <summary>Eight columns of a row and of the one <paramref name="distance"/> bytes further, pairwise: columns 0..3 and 4..7.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<uint> First, Vector128<uint> Second) Pair(byte* row, long distance)
    {
        Vector128<ushort> low = Vector128.Load((ushort*)row);
        Vector128<ushort> high = Vector128.Load((ushort*)(row + distance));
        if (Sse2.IsSupported)
            return (Sse2.UnpackLow(low, high).AsUInt32(), Sse2.UnpackHigh(low, high).AsUInt32());
        if (AdvSimd.Arm64.IsSupported)
            return (AdvSimd.Arm64.ZipLow(low, high).AsUInt32(), AdvSimd.Arm64.ZipHigh(low, high).AsUInt32());
        (Vector128<uint> low0, Vector128<uint> low1) = Vector128.Widen(low);
        (Vector128<uint> high0, Vector128<uint> high1) = Vector128.Widen(high);
        return (low0 | (high0 << 16), low1 | (high1 << 16));
    }

    /// <summary>Eight columns of a row, the halves of each pair exchanged.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Swap(byte* row)
    {
        Vector128<uint> pairs = Vector128.Load((uint*)row);
        return (pairs << 16) | (pairs >> 16);
    }

    /// <summary>Four rows of four elements become four columns, <paramref name="distance"/> elements apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreTransposed(Vector128<uint> a, Vector128<uint> b, Vector128<uint> c, Vector128<uint> d, uint* to, int distance)
    {
        if (Sse2.IsSupported)
        {
            Vector128<ulong> ab0 = Sse2.UnpackLow(a, b).AsUInt64();
            Vector128<ulong> ab1 = Sse2.UnpackHigh(a, b).AsUInt64();
            Vector128<ulong> cd0 = Sse2.UnpackLow(c, d).AsUInt64();
            Vector128<ulong> cd1 = Sse2.UnpackHigh(c, d).AsUInt64();
            Sse2.UnpackLow(ab0, cd0).AsUInt32().Store(to);
            Sse2.UnpackHigh(ab0, cd0).AsUInt32().Store(to + distance);
            Sse2.UnpackLow(ab1, cd1).AsUInt32().Store(to + (2 * distance));
            Sse2.UnpackHigh(ab1, cd1).AsUInt32().Store(to + (3 * distance));
            return;
        }

        for (int i = 0; i < 4; i++)
            Vector128.Create(a.GetElement(i), b.GetElement(i), c.GetElement(i), d.GetElement(i)).Store(to + (distance * i));
    }
}
