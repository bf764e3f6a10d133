using Sluice.Cpu.Assembly;
using Sluice.Cpu.Simd;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>E4M3 weights times rows rounded to BF16, in assembled tiles: a block of scales at a time.</summary>
internal sealed unsafe class E4M3Product(AssembledKernels kernels) : PanelProduct
{
    public override RowForm Form => RowForm.BFloat16;

    /// <summary>Whether its blocks of scales are whole blocks of rows.</summary>
    public static bool Takes(PanelMatrix w) => w.ScaleBlock % RowPacking.BlockColumns == 0 || w.ScaleBlock >= w.Columns;

    public override void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        E4M3Tables tables = E4M3Tables.Load();
        for (int stretch = 0; stretch < x.Count; stretch += 5 * RowPacking.StretchRows)
        {
            int rows = Math.Min(5 * RowPacking.StretchRows, x.Count - stretch);
            if (!BFloat16Product.Streams(x))
            {
                for (int column = 0; column < w.Columns; column += w.ScaleBlock)
                {
                    for (int panel = 0; panel < panels; panel++)
                        MultiplyBlock(w, firstPanel + panel, column, x, stretch, rows, y + (panel * PanelMatrix.PanelOutputs), stride, &tables);
                }

                continue;
            }

            // Few rows: panels front to back, as memory likes it.
            for (int panel = 0; panel < panels; panel++)
            {
                for (int column = 0; column < w.Columns; column += w.ScaleBlock)
                    MultiplyBlock(w, firstPanel + panel, column, x, stretch, rows, y + (panel * PanelMatrix.PanelOutputs), stride, &tables);
            }
        }
    }

    private void MultiplyBlock(
        PanelMatrix w, int panel, int column, in RowGroup x, int first, int rows, float* y, nint stride, E4M3Tables* tables)
    {
        int columns = Math.Min(w.ScaleBlock, w.Columns - column);
        TileArguments arguments = new()
        {
            OutputStride = stride * sizeof(float),
            Blocks = columns / RowPacking.BlockColumns,
            Pairs = ((columns % RowPacking.BlockColumns) + 1) / 2,
            Resumes = column,
            Scales = w.ScalesOf(panel, column),
            Tables = tables,
        };
        for (int row = first; row < first + rows;)
        {
            (int start, int height) = RowPacking.TileOf(row, x.Count);
            arguments.Weights = w.Data + (panel * w.PanelBytes) + (column * (long)PanelMatrix.PanelOutputs);
            arguments.Rows = x.Packed + (start * x.RowBytes)
                + (column / RowPacking.BlockColumns * (long)(height * RowPacking.BFloat16RecordBytes));
            arguments.Outputs = y + (start * stride);
            kernels.E4M3(height).Run(&arguments);
            row = start + height;
        }
    }
}
