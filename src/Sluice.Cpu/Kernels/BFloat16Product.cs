using System.Diagnostics;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>BF16 weights times rows rounded to BF16, in assembled tiles.</summary>
internal sealed unsafe class BFloat16Product(AssembledKernels kernels) : PanelProduct
{
    /// <summary>As in <see cref="PanelProduct{T,TFormat}"/>: a panel's share of these columns stays in the first-level cache while rows pass by.</summary>
    private const int BlockColumns = 256;

    /// <summary>Columns of a panel that stay in the second level, 128 KiB, while few rows pass by.</summary>
    private const int StreamColumns = 2048;

    /// <summary>Bytes of rows that stay there too.</summary>
    private const long StreamRowBytes = 512 << 10;

    /// <summary>Whether rows are so few that panels are best read front to back, each for all of them.</summary>
    public static bool Streams(in RowGroup x) => x.Count <= RowPacking.TileRows || x.Count * x.RowBytes <= StreamRowBytes;

    public override RowForm Form => RowForm.BFloat16;

    public override void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        Debug.Assert(x.RowBytes >= 2L * w.Columns && firstPanel + panels <= w.Panels, "rows as wide as the matrix, panels within it");
        if (Streams(x))
        {
            Stream(w, firstPanel, panels, x, y, stride);
            return;
        }

        for (int stretch = 0; stretch < x.Count; stretch += 5 * RowPacking.StretchRows)
        {
            int rows = Math.Min(5 * RowPacking.StretchRows, x.Count - stretch);
            for (int column = 0; column < w.Columns; column += BlockColumns)
            {
                for (int panel = 0; panel < panels; panel++)
                {
                    MultiplyBlock(
                        w, firstPanel + panel, column, Math.Min(BlockColumns, w.Columns - column), x, stretch, rows,
                        TilePrefetch.Own, y + (panel * PanelMatrix.PanelOutputs), stride);
                }
            }
        }
    }

    /// <summary>
    /// Few rows: weights are read front to back, as memory likes it, and without a pause. What one tile reads it fetches itself, some way ahead; several tiles
    /// take a block from the second level, into which those of the block before have fetched it.
    /// </summary>
    private void Stream(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        bool isAlone = x.Count <= RowPacking.TileRows;
        int blocks = isAlone ? 1 : (w.Columns + StreamColumns - 1) / StreamColumns;
        int block = ((w.Columns + blocks - 1) / blocks + RowPacking.BlockColumns - 1) / RowPacking.BlockColumns * RowPacking.BlockColumns;
        TilePrefetch prefetch = isAlone ? TilePrefetch.Own : TilePrefetch.Own | TilePrefetch.Next;
        for (int panel = 0; panel < panels; panel++)
        {
            for (int column = 0; column < w.Columns; column += block)
            {
                MultiplyBlock(
                    w, firstPanel + panel, column, Math.Min(block, w.Columns - column), x, 0, x.Count,
                    prefetch, y + (panel * PanelMatrix.PanelOutputs), stride);
                prefetch = isAlone ? TilePrefetch.Own : TilePrefetch.Next;
            }
        }
    }

    // The second tile fetches the other half of what comes next; later ones fetch nothing.
    private void MultiplyBlock(
        PanelMatrix w, int panel, int column, int columns, in RowGroup x, int first, int rows, TilePrefetch prefetch, float* y, nint stride)
    {
        TileArguments arguments = new()
        {
            OutputStride = stride * sizeof(float),
            Blocks = columns / RowPacking.BlockColumns,
            Pairs = (columns % RowPacking.BlockColumns + 1) / 2,
            Resumes = column,
        };
        byte* weights = w.Data + (panel * w.PanelBytes) + (column * (2L * PanelMatrix.PanelOutputs));
        arguments.Next = weights + (columns * (2L * PanelMatrix.PanelOutputs));
        for (int row = first; row < first + rows;)
        {
            (int start, int height) = RowPacking.TileOf(row, x.Count);
            arguments.Weights = weights;
            arguments.Rows = x.Packed + (start * x.RowBytes)
                + (column / RowPacking.BlockColumns * (long)(height * RowPacking.BFloat16RecordBytes));
            arguments.Outputs = y + (start * stride);
            kernels.BFloat16(height, prefetch).Run(&arguments);
            arguments.Next += columns * (long)PanelMatrix.PanelOutputs;
            prefetch = row == first ? prefetch & TilePrefetch.Next : TilePrefetch.None;
            row = start + height;
        }
    }
}
