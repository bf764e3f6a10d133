using System.Diagnostics;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// BF16 weights times rows rounded to BF16, in AMX's tiles: for any number of rows, one too, since no other instruction sums in its order.
/// </summary>
internal sealed unsafe class AmxBFloat16Product(AssembledKernels kernels) : PanelProduct
{
    /// <summary>
    /// Columns after which sums go out and come back. So many of 32 rows and of a panel take 128 KiB each, which is what one way of the second level holds:
    /// no distance from tile to tile can make them get in each other's way.
    /// </summary>
    private const int BlockColumns = 2048;

    /// <summary>Rows of which so many columns take half the second level (2 MiB since Sapphire Rapids).</summary>
    private const int StretchRows = 8 * RowPacking.AmxTileRows;

    public override RowForm Form => RowForm.BFloat16Amx;

    public override void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        Debug.Assert(x.RowBytes >= 2L * w.Columns && firstPanel + panels <= w.Panels, "rows as wide as the matrix, panels within it");
        TileArguments arguments = new() { OutputStride = stride * sizeof(float) };
        int whole = x.Count / RowPacking.AmxTileRows * RowPacking.AmxTileRows;
        for (int first = 0; first < whole; first += StretchRows)
            MultiplyRows(w, firstPanel, panels, x, first, Math.Min(StretchRows, whole - first), y, stride, &arguments);
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
        kernels.ConfigureAmx(arguments, AmxShapes.Of(height, RowPacking.BFloat16BlockPairs));
        int columns = w.Columns / RowPacking.BlockColumns * RowPacking.BlockColumns;
        for (int column = 0; column < columns; column += BlockColumns)
        {
            arguments->Blocks = Math.Min(BlockColumns, columns - column) / RowPacking.BlockColumns;
            for (int panel = 0; panel < panels; panel++)
                MultiplyBlock(w, firstPanel + panel, column, x, first, rows, height, y + (panel * PanelMatrix.PanelOutputs), stride, arguments);
        }

        int pairs = ((w.Columns % RowPacking.BlockColumns) + 1) / 2;
        if (pairs == 0)
            return;
        kernels.ConfigureAmx(arguments, AmxShapes.Of(height, pairs));
        arguments->Blocks = 1;
        for (int panel = 0; panel < panels; panel++)
            MultiplyBlock(w, firstPanel + panel, columns, x, first, rows, height, y + (panel * PanelMatrix.PanelOutputs), stride, arguments);
    }

    private void MultiplyBlock(
        PanelMatrix w, int panel, int column, in RowGroup x, int first, int rows, int height, float* y, nint stride, TileArguments* arguments)
    {
        AssembledKernels.Tile tile = kernels.AmxBFloat16(height, rows > height ? TilePrefetch.Next : TilePrefetch.Own);
        arguments->Weights = w.Data + (panel * w.PanelBytes) + (column * (2L * PanelMatrix.PanelOutputs));
        arguments->Next = arguments->Weights + w.PanelBytes;
        arguments->Resumes = column;
        for (int row = first; row < first + rows; row += height)
        {
            arguments->Rows = x.Packed + (row * x.RowBytes) + (column / RowPacking.BlockColumns * arguments->RowsStep);
            arguments->Outputs = y + (row * stride);
            arguments->NextOutputs = row + height < first + rows ? arguments->Outputs + (height * stride) : y + (first * stride) + PanelMatrix.PanelOutputs;
            tile.Run(arguments);
            arguments->Next += arguments->Blocks * AmxBFloat16Tile.SharedBytes;
        }
    }
}
