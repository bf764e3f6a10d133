using System.Runtime.CompilerServices;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Simd;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// Rows times an unpacked block of a strip, or a part of it that has a factor of its own, added to the rows' sums: integer products, exactly, then one multiply-add in float32.
/// So a row's bits do not depend on which rows are beside it. Written out because partial sums must be locals to live in registers, and with constants in locals because the
/// compiler has a budget for what it inlines in one method.
/// <para>
/// Common parameters: <c>weights</c>, see <see cref="Int8Block{TInt, TFloat, TDot, TElements}"/>; <c>factors</c> of 16 outputs; <c>x</c>, the rows' columns, in their <c>records</c> or
/// widened; <c>initialAt</c>, where a record has what products begin from; <c>pairs</c> of steps; <c>sums</c>, <see cref="SumStride"/> floats from row to row.
/// </para>
/// </summary>
internal static unsafe class Int8Tiles<TInt, TFloat, TDot, TElements>
    where TInt : unmanaged, IIntegers<TInt, TFloat>
    where TFloat : unmanaged, ISimd<TFloat>
    where TDot : struct, IInt8Dot<TInt>
    where TElements : struct, IInt8Elements<TInt>
{
    /// <summary>Floats from a row's sums to the next row's.</summary>
    public const int SumStride = PanelMatrix.PanelOutputs;

    // Bytes between what a row alone reads and what it fetches.
    private const int Ahead = 4096;

    private const int Record = RowPacking.Int8RecordBytes;

    // From a step's weights to the next step's.
    private const int Step = QuantisedFormat.QuadBytes;

    /// <summary>Pairs of steps of a block.</summary>
    public static int Pairs => TDot.IsInWords ? 8 : 4;

    /// <summary>Bytes from a row's columns to the next row's.</summary>
    public static int RowBytes => TDot.IsInWords ? 2 * QuantisedFormat.BlockColumns : Record;

    /// <summary>A multiple of four rows.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void Fours(byte* weights, float* factors, int pairs, byte* x, byte* records, int initialAt, int rows, float* sums)
    {
        // Where a row's columns of the second step of a pair are, those of the next pair, and those of the next row.
        bool isInWords = TDot.IsInWords;
        nint second = isInWords ? QuantisedFormat.BlockColumns : 4, next = isInWords ? 4 : 8, row = isInWords ? 2 * QuantisedFormat.BlockColumns : Record;
        nint upper = TInt.Bytes;
        for (; rows > 0; rows -= 4, x += 4 * row, records += 4 * Record, sums += 4 * SumStride)
        {
            for (nint at = 0; at < Step; at += 2 * upper)
            {
                TInt a0 = default, a1 = default, b0 = default, b1 = default, c0 = default, c1 = default, d0 = default, d1 = default;
                byte* w = weights + at;
                byte* columns = x;
                for (int pair = pairs; pair > 0; pair--)
                {
                    TInt w0 = TInt.Load(w), w1 = TInt.Load(w + upper), v0 = TInt.Load(w + Step), v1 = TInt.Load(w + Step + upper);
                    Add(w0, w1, v0, v1, columns, second, ref a0, ref a1);
                    Add(w0, w1, v0, v1, columns + row, second, ref b0, ref b1);
                    Add(w0, w1, v0, v1, columns + (2 * row), second, ref c0, ref c1);
                    Add(w0, w1, v0, v1, columns + (3 * row), second, ref d0, ref d1);
                    w += 2 * Step;
                    columns += next;
                }

                float* factor = (float*)((byte*)factors + at);
                float* to = (float*)((byte*)sums + at);
                Finish(a0, a1, factor, records, initialAt, to);
                Finish(b0, b1, factor, records + Record, initialAt, to + SumStride);
                Finish(c0, c1, factor, records + (2 * Record), initialAt, to + (2 * SumStride));
                Finish(d0, d1, factor, records + (3 * Record), initialAt, to + (3 * SumStride));
            }
        }
    }

    /// <summary>Any number of rows, one by one.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void Ones(byte* weights, float* factors, int pairs, byte* x, byte* records, int initialAt, int rows, float* sums)
    {
        bool isInWords = TDot.IsInWords;
        nint second = isInWords ? QuantisedFormat.BlockColumns : 4, next = isInWords ? 4 : 8, row = isInWords ? 2 * QuantisedFormat.BlockColumns : Record;
        nint upper = TInt.Bytes;
        for (; rows > 0; rows--, x += row, records += Record, sums += SumStride)
        {
            for (nint at = 0; at < Step; at += 2 * upper)
            {
                TInt a0 = default, a1 = default;
                byte* w = weights + at;
                byte* columns = x;
                for (int pair = pairs; pair > 0; pair--)
                {
                    Add(TInt.Load(w), TInt.Load(w + upper), TInt.Load(w + Step), TInt.Load(w + Step + upper), columns, second, ref a0, ref a1);
                    w += 2 * Step;
                    columns += next;
                }

                Finish(a0, a1, (float*)((byte*)factors + at), records, initialAt, (float*)((byte*)sums + at));
            }
        }
    }

    /// <summary>
    /// One row times a superblock of a strip as it is stored, which is not worth unpacking into memory. <paramref name="factors"/> are those of all blocks, in two parts;
    /// <paramref name="columns"/> those of all blocks if they are widened.
    /// </summary>
    [MethodImpl(Jit.Kernel)]
    public static void Alone(in QuantisedFormat format, byte* super, float* factors, byte* columns, byte* records, int initialAt, float* sums)
    {
        nint bytes = TInt.Bytes, lowBytes = format.LowBytes, highBytes = format.HighBytes;
        nint share = format.SuperBytes / QuantisedFormat.Blocks;
        bool byHalves = format.Factors == FactorKind.ByHalves;
        byte* lows = super + format.FactorBytes;
        byte* highs = lows + (QuantisedFormat.Blocks * lowBytes);
        byte* ahead = super + Ahead;
        for (int block = 0; block < QuantisedFormat.Blocks; block++, lows += lowBytes, highs += highBytes, records += Record, factors += 2 * QuantisedFormat.StripOutputs)
        {
            for (nint line = 0; line < share; line += 64)
                Cache.Prefetch(ahead + line);
            ahead += share;
            byte* row = TDot.IsInWords ? columns + (block * 2 * QuantisedFormat.BlockColumns) : records;
            for (nint at = 0; at < Step; at += bytes)
            {
                byte* low = lows + at;
                byte* high = highs + at;
                TInt first = TwoQuads(default, TElements.First(low, high, 0), TElements.First(low, high, 1), row);
                first = TDot.Widen(TwoQuads(first, TElements.First(low, high, 2), TElements.First(low, high, 3), row + 8));
                TInt second = TwoQuads(default, TElements.Second(low, high, 0), TElements.Second(low, high, 1), row + 16);
                second = TDot.Widen(TwoQuads(second, TElements.Second(low, high, 2), TElements.Second(low, high, 3), row + 24));

                float* to = (float*)((byte*)sums + at);
                float* factor = (float*)((byte*)factors + at);
                TFloat magic = TFloat.BroadcastAt((float*)(records + RowPacking.Int8MagicAt));
                TFloat product = TInt.AsFloat(TInt.BroadcastAt(records + initialAt) + (byHalves ? first : first + second)) - magic;
                TFloat sum = TFloat.MultiplyAdd(product, TFloat.Load(factor), TFloat.Load(to));
                if (byHalves)
                    sum = TFloat.MultiplyAdd(TInt.AsFloat(TInt.BroadcastAt(records + initialAt + 4) + second) - magic, TFloat.Load(factor + QuantisedFormat.StripOutputs), sum);
                TFloat.Store(sum, to);
            }
        }
    }

    /// <summary>A pair of steps for each quad in words, one for both in bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TInt TwoQuads(TInt partial, TInt weights, TInt nextWeights, byte* row)
    {
        if (!TDot.IsInWords)
        {
            return TDot.Add(
                partial, Int8Block<TInt, TFloat, TDot, TElements>.Signed(weights), TInt.BroadcastAt(row),
                Int8Block<TInt, TFloat, TDot, TElements>.Signed(nextWeights), TInt.BroadcastAt(row + 4));
        }

        return Quad(Quad(partial, weights, row), nextWeights, row + 4);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TInt Quad(TInt partial, TInt weights, byte* row) => TDot.Add(
        partial, Int8Block<TInt, TFloat, TDot, TElements>.Even(weights), TInt.BroadcastAt(row),
        Int8Block<TInt, TFloat, TDot, TElements>.Odd(weights), TInt.BroadcastAt(row + QuantisedFormat.BlockColumns));

    /// <summary>A pair of steps of a row with two registers of outputs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(TInt w0, TInt w1, TInt v0, TInt v1, byte* row, nint second, ref TInt a0, ref TInt a1)
    {
        TInt x = TInt.BroadcastAt(row), y = TInt.BroadcastAt(row + second);
        a0 = TDot.Add(a0, w0, x, v0, y);
        a1 = TDot.Add(a1, w1, x, v1, y);
    }

    /// <summary>Integer sums, read as float32, are products once what they began from is subtracted: <see cref="RowPacking.Int8RecordBytes"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(TInt partial0, TInt partial1, float* factor, byte* record, int initialAt, float* sums)
    {
        TInt initial = TInt.BroadcastAt(record + initialAt);
        TFloat magic = TFloat.BroadcastAt((float*)(record + RowPacking.Int8MagicAt));
        TFloat.Store(TFloat.MultiplyAdd(TInt.AsFloat(initial + TDot.Widen(partial0)) - magic, TFloat.Load(factor), TFloat.Load(sums)), sums);
        factor += TFloat.Lanes;
        sums += TFloat.Lanes;
        TFloat.Store(TFloat.MultiplyAdd(TInt.AsFloat(initial + TDot.Widen(partial1)) - magic, TFloat.Load(factor), TFloat.Load(sums)), sums);
    }
}
