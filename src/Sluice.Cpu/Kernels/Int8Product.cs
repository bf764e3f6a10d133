using System.Diagnostics;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>Quantised weights times rows in INT8, in assembled tiles.</summary>
internal sealed unsafe class Int8Product(AssembledKernels kernels, QuantisedFormat format) : PanelProduct
{
    public override RowForm Form => format.Form;

    public override void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        Debug.Assert(w.Type == format.Type && firstPanel + panels <= w.Panels, "panels of this type");

        // On lines of the cache.
        byte* memory = stackalloc byte[(RowPacking.StretchRows * Int8PanelTile.SumBytes) + 63];
        float* sums = (float*)((nint)(memory + 63) & -64);
        long stripBytes = PanelMatrix.BytesOfStrip(w.Type, w.Columns);
        for (int first = 0; first < x.Count; first += RowPacking.StretchRows)
        {
            (int _, int height) = RowPacking.Int8TileOf(first, x.Count);
            TileArguments arguments = new()
            {
                Weights = w.Data + (2 * firstPanel * stripBytes),
                Rows = x.Packed + (first * x.RowBytes),
                RowsStep = height * RowPacking.Int8RecordBytes,
                Outputs = y + (first * stride),
                OutputStride = stride * sizeof(float),
                Height = height,
                StripBytes = (nint)stripBytes,
                Sums = sums,
            };
            if (height <= Int8Tile.MostRows)
                MultiplyStrips(2 * panels, height, &arguments, w.Columns);
            else
                MultiplyPanels(panels, &arguments, w.Columns);
        }
    }

    private void MultiplyStrips(int strips, int height, TileArguments* arguments, int columns)
    {
        AssembledKernels.Tile tile = kernels.Int8(format, height);
        arguments->Blocks = QuantisedFormat.SuperBlocksOf(columns);
        for (int strip = 0; strip < strips; strip++)
        {
            tile.Run(arguments);
            arguments->Weights += arguments->StripBytes;
            arguments->Outputs += QuantisedFormat.StripOutputs;
        }
    }

    private void MultiplyPanels(int panels, TileArguments* arguments, int columns)
    {
        AssembledKernels.Tile tile = kernels.Int8Panel(format);
        for (int panel = 0; panel < panels; panel++)
        {
            arguments->Blocks = QuantisedFormat.SuperBlocksOf(columns);
            tile.Run(arguments);
            arguments->Weights += 2 * arguments->StripBytes;
            arguments->Outputs += PanelMatrix.PanelOutputs;
        }
    }
}
