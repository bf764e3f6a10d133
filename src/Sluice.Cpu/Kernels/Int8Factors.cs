using System.Runtime.CompilerServices;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Simd;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>What is not multiplied as bytes: factors of superblocks, what they subtract, and rows as words.</summary>
internal static unsafe class Int8Factors<TInt, TFloat>
    where TInt : unmanaged, IIntegers<TInt, TFloat>
    where TFloat : unmanaged, ISimd<TFloat>
{
    private const int Outputs = QuantisedFormat.StripOutputs;

    /// <summary>The factors of a superblock's blocks: [8, first or second 16 columns, 16 outputs], of which those with one factor have the first.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void ReadFactors(FactorKind kind, byte* super, float* to)
    {
        for (int i = 0; i < Outputs; i += TFloat.Lanes)
        {
            TFloat factor = kind == FactorKind.Single ? default : Half(super, i);
            for (int block = 0; block < QuantisedFormat.Blocks; block++)
            {
                float* ofBlock = to + (2 * Outputs * block) + i;
                if (kind == FactorKind.Single)
                {
                    TFloat.Store(Half(super, (Outputs * block) + i), ofBlock);
                }
                else if (kind == FactorKind.WithOffset)
                {
                    // At most 63, so the sign is never set.
                    TFloat.Store(factor * TFloat.LoadSignedBytes((sbyte*)super + 64 + (Outputs * block) + i), ofBlock);
                }
                else
                {
                    TFloat.Store(factor * TFloat.LoadSignedBytes((sbyte*)super + 64 + (2 * Outputs * block) + i), ofBlock);
                    TFloat.Store(factor * TFloat.LoadSignedBytes((sbyte*)super + 64 + Outputs + (2 * Outputs * block) + i), ofBlock + Outputs);
                }
            }
        }
    }

    /// <summary>Takes from rows' sums what a superblock subtracts: pairs of blocks' m, in 16 bits, times pairs of sums of the rows.</summary>
    [SkipLocalsInit]
    [MethodImpl(Jit.Kernel)]
    public static void SubtractOffsets(byte* super, byte* records, int rows, float* sums, nint sumStride)
    {
        byte* offsets = stackalloc byte[QuantisedFormat.Blocks * Outputs * sizeof(short)];
        for (int at = 0; at < QuantisedFormat.Blocks * Outputs; at += TInt.Bytes / 2)
            TInt.Store(TInt.LoadBytesAsWords(super + 192 + at), offsets + (2 * at));
        float* factor = stackalloc float[Outputs];
        for (int i = 0; i < Outputs; i += TFloat.Lanes)
            TFloat.Store(Half(super, Outputs + i) * TFloat.Broadcast(1f / (1 << RowPacking.Int8SumBits)), factor + i);
        nint pair = 2 * rows * RowPacking.Int8RecordBytes;
        byte* shared = records + RowPacking.Int8SharedAt;
        for (int row = 0; row < rows; row++, shared += RowPacking.Int8RecordBytes, sums += sumStride)
        {
            for (int i = 0; i < Outputs; i += TFloat.Lanes)
            {
                byte* m = offsets + (4 * i);
                TInt sum = TInt.MultiplyWords(TInt.Load(m), TInt.BroadcastAt(shared)) + TInt.MultiplyWords(TInt.Load(m + 64), TInt.BroadcastAt(shared + pair));
                sum += TInt.MultiplyWords(TInt.Load(m + 128), TInt.BroadcastAt(shared + (2 * pair)));
                sum += TInt.MultiplyWords(TInt.Load(m + 192), TInt.BroadcastAt(shared + (3 * pair)));
                TFloat product = TFloat.Zero - TInt.ConvertToFloat(sum);
                TFloat.Store(TFloat.MultiplyAdd(product, TFloat.Load(factor + i), TFloat.Load(sums + i)), sums + i);
            }
        }
    }

    /// <summary>Columns of rows' records as words: [even, odd, 16] a row.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void WidenRows(byte* records, int rows, byte* to)
    {
        for (int row = 0; row < rows; row++, records += RowPacking.Int8RecordBytes, to += 2 * QuantisedFormat.BlockColumns)
        {
            for (int at = 0; at < QuantisedFormat.BlockColumns; at += TInt.Bytes)
            {
                TInt x = TInt.Load(records + at);
                TInt.Store(TInt.ShiftSignedWordsDown(TInt.ShiftWordsUp(x, 8), 8), to + at);
                TInt.Store(TInt.ShiftSignedWordsDown(x, 8), to + QuantisedFormat.BlockColumns + at);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TFloat Half(byte* super, int index) => F16.Widen(TInt.AsFloat(TInt.LoadWordsAsUpperHalves((ushort*)super + index)));
}
