using System.Diagnostics;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>Quantised weights times rows in INT8, in assembled tiles.</summary>
internal sealed unsafe class Int8Product(AssembledKernels kernels, QuantisedFormat format) : PanelProduct
{
    /// <summary>Superblocks of columns of which a strip's share and a tile's fit the first-level cache.</summary>
    private const int SuperBlocksAtOnce = 4;

    public override RowForm Form => format.Form;

    public override void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        Debug.Assert(w.Type == format.Type && firstPanel + panels <= w.Panels, "panels of this type");
        int all = QuantisedFormat.SuperBlocksOf(w.Columns);
        int atOnce = x.Count <= RowPacking.TileRows ? all : SuperBlocksAtOnce;
        for (int stretch = 0; stretch < x.Count; stretch += 3 * RowPacking.StretchRows)
        {
            int rows = Math.Min(3 * RowPacking.StretchRows, x.Count - stretch);
            for (int super = 0; super < all; super += atOnce)
            {
                for (int strip = 0; strip < 2 * panels; strip++)
                {
                    MultiplyStrip(
                        w, (2 * firstPanel) + strip, super, Math.Min(atOnce, all - super), super + atOnce >= all, x, stretch, rows,
                        y + (strip * QuantisedFormat.StripOutputs), stride);
                }
            }
        }
    }

    private void MultiplyStrip(PanelMatrix w, int strip, int super, int supers, bool last, in RowGroup x, int first, int rows, float* y, nint stride)
    {
        TileArguments arguments = new() { OutputStride = stride * sizeof(float), Blocks = supers, Resumes = super, Finishes = last ? 1 : 0 };
        for (int row = first; row < first + rows;)
        {
            (int start, int height) = RowPacking.TileOf(row, x.Count);
            arguments.Weights = w.Data + (strip * PanelMatrix.BytesOfStrip(w.Type, w.Columns)) + (super * (long)format.SuperBytes);
            arguments.Rows = x.Packed + (start * x.RowBytes) + (super * (long)(QuantisedFormat.Blocks * height * RowPacking.Int8RecordBytes));
            arguments.Outputs = y + (start * stride);
            kernels.Int8(format, height).Run(&arguments);
            row = start + height;
        }
    }
}
