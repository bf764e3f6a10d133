using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Sluice.Core;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Simd;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>Quantised weights times rows in INT8, with what .NET exposes.</summary>
internal static class PortableInt8Product
{
    /// <summary>The fastest for a type of weights, in registers of at most <paramref name="lanes"/> lanes.</summary>
    public static PanelProduct Of(QuantisedFormat format, int lanes)
    {
        if (lanes < V256.Lanes || !Avx2.IsSupported)
            return Dp.IsSupported ? Of<I128, V128, ArmDot>(format) : Of<I128, V128, WordDot<I128, V128>>(format);
        if (AvxVnni.IsSupported)
            return Of<I256, V256, VnniDot>(format);
        return format.Type switch
        {
            DType.Q4_0 or DType.Q4_K => Of<I256, V256, NibbleDot>(format),
            DType.Q5_K or DType.Q6_K => Of<I256, V256, SixBitDot>(format),
            _ => Of<I256, V256, WordDot<I256, V256>>(format),
        };
    }

    private static PanelProduct Of<TInt, TFloat, TDot>(QuantisedFormat format)
        where TInt : unmanaged, IIntegers<TInt, TFloat>
        where TFloat : unmanaged, ISimd<TFloat>
        where TDot : struct, IInt8Dot<TInt> => format.Type switch
        {
            DType.Q8_0 => new PortableInt8Product<TInt, TFloat, TDot, ByteElements<TInt, TFloat>>(format),
            DType.Q5_K => new PortableInt8Product<TInt, TFloat, TDot, FiveBitElements<TInt, TFloat>>(format),
            DType.Q6_K => new PortableInt8Product<TInt, TFloat, TDot, SixBitElements<TInt, TFloat>>(format),
            DType.Q4_0 or DType.Q4_K => new PortableInt8Product<TInt, TFloat, TDot, NibbleElements<TInt, TFloat>>(format),
            DType type => throw new ArgumentOutOfRangeException(nameof(format), type, "not a quantised type that panels hold"),
        };
}

/// <summary>
/// The same for one way of multiplying bytes and one of storing them. A block of a strip is unpacked into the first level once, then all rows pass by, with sums there too; one row alone
/// takes the weights as they are stored. The arithmetic is that of <see cref="Int8PanelTile"/>, to the bit.
/// </summary>
internal sealed unsafe class PortableInt8Product<TInt, TFloat, TDot, TElements>(QuantisedFormat format) : PanelProduct
    where TInt : unmanaged, IIntegers<TInt, TFloat>
    where TFloat : unmanaged, ISimd<TFloat>
    where TDot : struct, IInt8Dot<TInt>
    where TElements : struct, IInt8Elements<TInt>
{
    private const int Strips = 2;

    // Rows that take long enough for the next panel to be fetched meanwhile.
    private const int Many = 24;

    private const int Record = RowPacking.Int8RecordBytes;
    private const int SumStride = PanelMatrix.PanelOutputs;

    // Parts of a block with factors of their own.
    private readonly int _parts = format.Factors == FactorKind.ByHalves ? 2 : 1;

    // Where records have what sums begin from: without the offset where weights have lost it.
    private readonly int _initialAt = Int8Block<TInt, TFloat, TDot, TElements>.LosesOffset ? RowPacking.Int8MagicAt : RowPacking.Int8InitialAt;

    public override RowForm Form => format.Form;

    [SkipLocalsInit]
    public override void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        Debug.Assert(w.Type == format.Type && firstPanel + panels <= w.Panels, "panels of this type");
        Debug.Assert(TElements.Largest <= TDot.MostElement, "sums that cannot overflow");
        byte* memory = stackalloc byte[Workspace.Bytes + 63];
        Workspace work = new((byte*)((nint)(memory + 63) & -64));
        nint stripBytes = (nint)PanelMatrix.BytesOfStrip(w.Type, w.Columns);
        int superBlocks = QuantisedFormat.SuperBlocksOf(w.Columns);
        for (int first = 0; first < x.Count; first += RowPacking.StretchRows)
        {
            (int _, int height) = RowPacking.Int8TileOf(first, x.Count);
            byte* records = x.Packed + (first * x.RowBytes);
            for (int panel = 0; panel < panels; panel++)
            {
                byte* weights = w.Data + (Strips * (firstPanel + panel) * stripBytes);
                new Span<float>(work.Sums, height * SumStride).Clear();
                if (height > 1)
                    MultiplyRows(weights, stripBytes, superBlocks, records, height, work);
                else
                    MultiplyRow(weights, stripBytes, superBlocks, records, work);
                byte* lastBlock = records + (((QuantisedFormat.Blocks * superBlocks) - 1) * height * Record);
                Scale(work.Sums, lastBlock, height, y + (first * stride) + (panel * PanelMatrix.PanelOutputs), stride);
            }
        }
    }

    /// <summary>One row times a panel, strip by strip, front to back.</summary>
    [MethodImpl(Jit.Kernel)]
    private void MultiplyRow(byte* weights, nint stripBytes, int superBlocks, byte* records, in Workspace work)
    {
        float* sums = work.Sums;
        for (int strip = 0; strip < Strips; strip++, sums += QuantisedFormat.StripOutputs)
        {
            byte* super = weights + (strip * stripBytes);
            byte* row = records;
            for (int i = 0; i < superBlocks; i++, super += format.SuperBytes, row += QuantisedFormat.Blocks * Record)
            {
                if (TDot.IsInWords)
                    Int8Factors<TInt, TFloat>.WidenRows(row, QuantisedFormat.Blocks, work.WideRows);
                if (format.Factors == FactorKind.WithOffset)
                    Int8Factors<TInt, TFloat>.SubtractOffsets(super, row, 1, sums, SumStride);
                Int8Factors<TInt, TFloat>.ReadFactors(format.Factors, super, work.Factors(0));
                Int8Tiles<TInt, TFloat, TDot, TElements>.Alone(format, super, work.Factors(0), work.WideRows, row, _initialAt, sums);
            }
        }
    }

    /// <summary>Several rows times a panel, both of whose strips they pass by together.</summary>
    [MethodImpl(Jit.Kernel)]
    private void MultiplyRows(byte* weights, nint stripBytes, int superBlocks, byte* records, int height, in Workspace work)
    {
        float* sums = work.Sums;
        for (int i = 0; i < superBlocks; i++, weights += format.SuperBytes)
        {
            for (int strip = 0; strip < Strips; strip++)
            {
                byte* super = weights + (strip * stripBytes);
                Int8Factors<TInt, TFloat>.ReadFactors(format.Factors, super, work.Factors(strip));
                if (format.Factors == FactorKind.WithOffset)
                    Int8Factors<TInt, TFloat>.SubtractOffsets(super, records, height, sums + (strip * QuantisedFormat.StripOutputs), SumStride);
            }

            byte* lows = weights + format.FactorBytes;
            byte* highs = lows + (QuantisedFormat.Blocks * format.LowBytes);
            for (int block = 0; block < QuantisedFormat.Blocks; block++, lows += format.LowBytes, highs += format.HighBytes, records += height * Record)
            {
                byte* columns = records;
                if (TDot.IsInWords)
                {
                    columns = work.WideRows;
                    Int8Factors<TInt, TFloat>.WidenRows(records, height, columns);
                }

                for (int strip = 0; strip < Strips; strip++)
                {
                    Prefetch(weights + (strip * stripBytes), Strips * stripBytes, block, height);
                    Int8Block<TInt, TFloat, TDot, TElements>.Unpack(lows + (strip * stripBytes), highs + (strip * stripBytes), work.Weights);
                    float* factors = work.Factors(strip) + (2 * QuantisedFormat.StripOutputs * block);
                    AddRows(work.Weights, factors, columns, records, height, sums + (strip * QuantisedFormat.StripOutputs));
                }
            }
        }
    }

    /// <summary>All rows times a block of a strip, four at a time as far as that goes.</summary>
    [MethodImpl(Jit.Kernel)]
    private void AddRows(byte* weights, float* factors, byte* columns, byte* records, int height, float* sums)
    {
        int pairs = Int8Tiles<TInt, TFloat, TDot, TElements>.Pairs / _parts;
        int row = Int8Tiles<TInt, TFloat, TDot, TElements>.RowBytes;
        int fours = height / 4 * 4;
        for (int part = 0; part < _parts; part++)
        {
            int initialAt = _initialAt + (4 * part);
            if (fours > 0)
                Int8Tiles<TInt, TFloat, TDot, TElements>.Fours(weights, factors, pairs, columns, records, initialAt, fours, sums);
            if (height > fours)
            {
                Int8Tiles<TInt, TFloat, TDot, TElements>.Ones(
                    weights, factors, pairs, columns + (fours * row), records + (fours * Record), initialAt, height - fours, sums + (fours * SumStride));
            }

            weights += pairs * 2 * QuantisedFormat.QuadBytes;
            factors += QuantisedFormat.StripOutputs;
            columns += QuantisedFormat.BlockColumns / 2;
        }
    }

    /// <summary>Sums times their rows' factors, which are in the last records of all, become the outputs.</summary>
    [MethodImpl(Jit.Kernel)]
    private static void Scale(float* sums, byte* records, int height, float* y, nint stride)
    {
        for (int row = 0; row < height; row++, records += Record, sums += SumStride, y += stride)
        {
            TFloat factor = TFloat.BroadcastAt((float*)(records + RowPacking.Int8SharedAt));
            for (int output = 0; output < PanelMatrix.PanelOutputs; output += TFloat.Lanes)
                TFloat.Store(TFloat.Load(sums + output) * factor, y + output);
        }
    }

    /// <summary>
    /// Fetches a block's share of what comes next in a strip, from the second level or, where this is the first panel or rows are few, from memory; and of the next panel, so that memory is
    /// never idle while many rows pass by.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Prefetch(byte* super, nint panelBytes, int block, int height)
    {
        const int Ahead = 4096;
        int share = format.SuperBytes / QuantisedFormat.Blocks;
        byte* from = super + (block * share);
        byte* end = from + share;
        for (byte* line = from; line < end; line += 64)
            Cache.Prefetch(line + Ahead);
        for (byte* line = from; height >= Many && line < end; line += 64)
            Cache.PrefetchToSecondLevel(line + panelBytes);
    }

    /// <summary>Memory in the first level.</summary>
    private readonly struct Workspace(byte* memory)
    {
        public const int Bytes = SumBytes + WideBytes + WeightBytes + (Strips * FactorBytes);

        private const int SumBytes = RowPacking.StretchRows * SumStride * sizeof(float);
        private const int WideBytes = RowPacking.StretchRows * 2 * QuantisedFormat.BlockColumns;
        private const int WeightBytes = 2 * QuantisedFormat.StripOutputs * QuantisedFormat.BlockColumns;
        private const int FactorBytes = QuantisedFormat.Blocks * 2 * QuantisedFormat.StripOutputs * sizeof(float);

        public float* Sums => (float*)memory;

        public byte* WideRows => memory + SumBytes;

        public byte* Weights => WideRows + WideBytes;

        public float* Factors(int strip) => (float*)(Weights + WeightBytes + (strip * FactorBytes));
    }
}
