using System.Diagnostics;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>BF16 weights times rows rounded to BF16, in assembled tiles.</summary>
internal sealed unsafe class BFloat16Product(AssembledKernels kernels) : PanelProduct
{
    /// <summary>As in <see cref="PanelProduct{T,TFormat}"/>: a panel's share of these columns stays in the first-level cache while rows pass by.</summary>
    private const int BlockColumns = 256;

    public override RowForm Form => RowForm.BFloat16;

    public override void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        Debug.Assert(x.RowBytes >= 2L * w.Columns && firstPanel + panels <= w.Panels, "rows as wide as the matrix, panels within it");

        // One tile reads a panel front to back, as memory likes it; several share blocks of it.
        int block = x.Count <= RowPacking.TileRows ? w.Columns : BlockColumns;
        for (int stretch = 0; stretch < x.Count; stretch += 5 * RowPacking.StretchRows)
        {
            int rows = Math.Min(5 * RowPacking.StretchRows, x.Count - stretch);
            for (int column = 0; column < w.Columns; column += block)
            {
                for (int panel = 0; panel < panels; panel++)
                {
                    MultiplyBlock(
                        w, firstPanel + panel, column, Math.Min(block, w.Columns - column), x, stretch, rows,
                        y + (panel * PanelMatrix.PanelOutputs), stride);
                }
            }
        }
    }

    private void MultiplyBlock(PanelMatrix w, int panel, int column, int columns, in RowGroup x, int first, int rows, float* y, nint stride)
    {
        TileArguments arguments = new()
        {
            OutputStride = stride * sizeof(float),
            Blocks = columns / RowPacking.BlockColumns,
            Pairs = (columns % RowPacking.BlockColumns + 1) / 2,
            Resumes = column,
        };
        for (int row = first; row < first + rows;)
        {
            (int start, int height) = RowPacking.TileOf(row, x.Count);
            arguments.Weights = w.Data + (panel * w.PanelBytes) + (column * (2L * PanelMatrix.PanelOutputs));
            arguments.Rows = x.Packed + (start * x.RowBytes)
                + (column / RowPacking.BlockColumns * (long)(height * RowPacking.BFloat16RecordBytes));
            arguments.Outputs = y + (start * stride);
            kernels.BFloat16(height).Run(&arguments);
            row = start + height;
        }
    }
}
