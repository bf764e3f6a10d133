using System.Diagnostics;
using System.Runtime.CompilerServices;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>Quantised weights times rows in INT8, in assembled tiles, of AMX where it is used and there are enough rows: the bits are the same.</summary>
internal sealed unsafe class Int8Product(AssembledKernels kernels, QuantisedFormat format, bool usesAmx) : PanelProduct
{
    /// <summary>Superblocks of columns of which a strip's share and a tile's fit the first-level cache.</summary>
    private const int SuperBlocksAtOnce = 4;

    /// <summary>Rows from which on AMX is worth its way through memory.</summary>
    private static readonly int LeastAmxRows = int.Parse(Environment.GetEnvironmentVariable("AMX_INT8") ?? "6");

    private const int CacheLine = 64;

    public override RowForm Form => format.Form;

    [SkipLocalsInit]
    public override void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        Debug.Assert(w.Type == format.Type && firstPanel + panels <= w.Panels, "panels of this type");
        byte* memory = stackalloc byte[AmxInt8Tile.MemoryBytes + CacheLine];
        TileArguments* arguments = (TileArguments*)(((nuint)memory + CacheLine - 1) & ~(nuint)(CacheLine - 1));
        *arguments = new TileArguments { OutputStride = stride * sizeof(float) };
        int all = QuantisedFormat.SuperBlocksOf(w.Columns);
        int atOnce = x.Count <= RowPacking.TileRows ? all : SuperBlocksAtOnce;
        int shaped = 0;
        for (int stretch = 0; stretch < x.Count; stretch += 3 * RowPacking.StretchRows)
        {
            int rows = Math.Min(3 * RowPacking.StretchRows, x.Count - stretch);
            for (int super = 0; super < all; super += atOnce)
            {
                arguments->Blocks = Math.Min(atOnce, all - super);
                arguments->Resumes = super;
                arguments->Finishes = super + atOnce >= all ? 1 : 0;
                for (int strip = 0; strip < 2 * panels; strip++)
                {
                    MultiplyStrip(
                        w, (2 * firstPanel) + strip, super, x, stretch, rows, y + (strip * QuantisedFormat.StripOutputs), stride, arguments, ref shaped);
                }
            }
        }

        if (shaped != 0)
            kernels.AmxRelease.Run(arguments);
    }

    private void MultiplyStrip(
        PanelMatrix w, int strip, int super, in RowGroup x, int first, int rows, float* y, nint stride, TileArguments* arguments, ref int shaped)
    {
        for (int row = first; row < first + rows;)
        {
            (int start, int height) = RowPacking.TileOf(row, x.Count);
            arguments->Weights = w.Data + (strip * PanelMatrix.BytesOfStrip(w.Type, w.Columns)) + (super * (long)format.SuperBytes);
            arguments->Rows = x.Packed + (start * x.RowBytes) + (super * (long)(QuantisedFormat.Blocks * height * RowPacking.Int8RecordBytes));
            arguments->Outputs = y + (start * stride);
            TileOf(height, arguments, ref shaped).Run(arguments);
            row = start + height;
        }
    }

    /// <summary>The tile for some rows, shapes loaded if it is AMX's and those loaded are for another number of rows.</summary>
    private AssembledKernels.Tile TileOf(int rows, TileArguments* arguments, ref int shaped)
    {
        if (!usesAmx || rows < LeastAmxRows)
            return kernels.Int8(format, rows);
        if (shaped != rows)
            kernels.ConfigureAmx(arguments, AmxShapes.OfOne(rows, format.Factors == FactorKind.ByHalves ? 4 : 8));
        shaped = rows;
        return kernels.AmxInt8(format, rows);
    }
}
