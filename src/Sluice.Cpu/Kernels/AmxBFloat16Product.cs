using System.Diagnostics;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>BF16 weights times rows rounded to BF16, in AMX's tiles: for any number of rows, since the order of sums is the instruction's own.</summary>
internal sealed unsafe class AmxBFloat16Product(AssembledKernels kernels) : PanelProduct
{
    public override RowForm Form => RowForm.BFloat16Amx;

    public override void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        Debug.Assert(x.RowBytes >= 2L * w.Columns && firstPanel + panels <= w.Panels, "rows as wide as the matrix, panels within it");
        TileArguments arguments = new() { OutputStride = stride * sizeof(float) };
        int whole = x.Count / RowPacking.AmxTileRows * RowPacking.AmxTileRows;
        for (int stretch = 0; stretch < whole; stretch += AmxTuning.Stretch)
            MultiplyRows(w, firstPanel, panels, x, stretch, Math.Min(AmxTuning.Stretch, whole - stretch), y, stride, &arguments);
        if (whole < x.Count)
            MultiplyRows(w, firstPanel, panels, x, whole, x.Count - whole, y, stride, &arguments);
        kernels.AmxRelease.Run(&arguments);
    }

    /// <summary>Some rows, in tiles of the same height: shapes are loaded once, which zeroes all tiles.</summary>
    private void MultiplyRows(
        PanelMatrix w, int firstPanel, int panels, in RowGroup x, int first, int rows, float* y, nint stride, TileArguments* arguments)
    {
        int height = Math.Min(rows, RowPacking.AmxTileRows);
        arguments->RowsStep = height * RowPacking.BFloat16RecordBytes;
        Configure(arguments, height, RowPacking.BFloat16BlockPairs);

        // One tile reads a panel front to back, as memory likes it; several share blocks of it.
        int columns = w.Columns / RowPacking.BlockColumns * RowPacking.BlockColumns;
        int block = rows == height ? columns : AmxTuning.Block;
        for (int column = 0; column < columns; column += block)
        {
            arguments->Blocks = Math.Min(block, columns - column) / RowPacking.BlockColumns;
            for (int panel = 0; panel < panels; panel++)
                MultiplyBlock(w, firstPanel + panel, column, x, first, rows, height, y + (panel * PanelMatrix.PanelOutputs), stride, arguments);
        }

        int pairs = ((w.Columns % RowPacking.BlockColumns) + 1) / 2;
        if (pairs == 0)
            return;
        Configure(arguments, height, pairs);
        arguments->Blocks = 1;
        for (int panel = 0; panel < panels; panel++)
            MultiplyBlock(w, firstPanel + panel, columns, x, first, rows, height, y + (panel * PanelMatrix.PanelOutputs), stride, arguments);
    }

    private void MultiplyBlock(
        PanelMatrix w, int panel, int column, in RowGroup x, int first, int rows, int height, float* y, nint stride, TileArguments* arguments)
    {
        AssembledKernels.Tile tile = kernels.AmxBFloat16(height);
        arguments->Weights = w.Data + (panel * w.PanelBytes) + (column * (2L * PanelMatrix.PanelOutputs));
        arguments->Resumes = column;
        for (int row = first; row < first + rows; row += height)
        {
            arguments->Rows = x.Packed + (row * x.RowBytes) + (column / RowPacking.BlockColumns * arguments->RowsStep);
            arguments->Outputs = y + (row * stride);
            tile.Run(arguments);
        }
    }

    private void Configure(TileArguments* arguments, int rows, int pairs)
    {
        arguments->Shapes = AmxShapes.Of(rows, pairs);
        kernels.AmxConfiguration.Run(arguments);
    }
}
