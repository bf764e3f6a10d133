using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Simd;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// E4M3 weights times rows rounded to BF16, in AMX's tiles: 128 columns of a panel become BF16, exactly, meet the rows, and the sums are multiplied with their
/// scales and added to the outputs. One row alone does the same in vectors, with the same bits.
/// </summary>
internal sealed unsafe class AmxE4M3Product(AssembledKernels kernels) : PanelProduct
{
    private const int BlockColumns = 128;
    private const int DecodedBytes = BlockColumns * PanelMatrix.PanelOutputs * sizeof(ushort);
    private const int SumsBytes = RowPacking.AmxTileRows * PanelMatrix.PanelOutputs * sizeof(float);

    /// <summary>Rows whose outputs of a panel fit the first level, and they themselves the second.</summary>
    private const int StretchRows = 8 * RowPacking.AmxTileRows;

    public override RowForm Form => RowForm.BFloat16Amx;

    /// <summary>Whether blocks of 128 columns have one scale each and whole blocks of rows.</summary>
    public static bool Takes(PanelMatrix w) =>
        w.Columns % RowPacking.BlockColumns == 0 && (w.ScaleBlock % BlockColumns == 0 || w.ScaleBlock >= w.Columns);

    public override void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        int whole = x.Count / RowPacking.AmxTileRows * RowPacking.AmxTileRows;
        if (x.Count - whole == 1)
            MultiplyOne(w, firstPanel, panels, x.Packed + (whole * x.RowBytes), y + (whole * stride));
        int tiled = x.Count - whole == 1 ? whole : x.Count;
        if (tiled == 0)
            return;
        TileArguments arguments = new() { OutputStride = PanelMatrix.PanelOutputs * sizeof(float) };
        for (int first = 0; first < whole; first += StretchRows)
            MultiplyRows(w, firstPanel, panels, x, first, Math.Min(StretchRows, whole - first), y, stride, &arguments);
        if (whole < tiled)
            MultiplyRows(w, firstPanel, panels, x, whole, tiled - whole, y, stride, &arguments);
        kernels.AmxRelease.Run(&arguments);
    }

    private void MultiplyOne(PanelMatrix w, int firstPanel, int panels, byte* x, float* y)
    {
        E4M3Tables tables = E4M3Tables.Load();
        TileArguments arguments = new() { Tables = &tables };
        for (int panel = 0; panel < panels; panel++)
        {
            for (int column = 0; column < w.Columns; column += BlockColumns)
            {
                arguments.Weights = WeightsOf(w, firstPanel + panel, column);
                arguments.Scales = w.ScalesOf(firstPanel + panel, column);
                arguments.Rows = x + (column * sizeof(ushort));
                arguments.Outputs = y + (panel * PanelMatrix.PanelOutputs);
                arguments.Blocks = Math.Min(BlockColumns, w.Columns - column) / RowPacking.BlockColumns;
                arguments.Resumes = column;
                kernels.AmxOrderE4M3.Run(&arguments);
            }
        }
    }

    /// <summary>Some rows, in tiles of the same height. Decoding is a block ahead, since tiles wait for what has just been stored.</summary>
    [SkipLocalsInit]
    private void MultiplyRows(
        PanelMatrix w, int firstPanel, int panels, in RowGroup x, int first, int rows, float* y, nint stride, TileArguments* arguments)
    {
        byte* memory = stackalloc byte[(2 * DecodedBytes) + SumsBytes + Vector512<byte>.Count];
        memory = (byte*)(((nuint)memory + (nuint)Vector512<byte>.Count - 1) & ~(nuint)(Vector512<byte>.Count - 1));
        float* sums = (float*)(memory + (2 * DecodedBytes));
        int height = Math.Min(rows, RowPacking.AmxTileRows);
        AssembledKernels.Tile tile = kernels.AmxBFloat16(height, TilePrefetch.None);
        arguments->RowsStep = height * RowPacking.BFloat16RecordBytes;
        arguments->Outputs = sums;
        kernels.ConfigureAmx(arguments, AmxShapes.Of(height, RowPacking.BFloat16BlockPairs));
        int blocks = (w.Columns + BlockColumns - 1) / BlockColumns;
        int decoded = 0;
        for (int item = 0; item < panels * blocks; item++)
        {
            for (; decoded < Math.Min(item + 2, panels * blocks); decoded++)
                Decode(w, firstPanel + (decoded / blocks), decoded % blocks * BlockColumns, memory + (decoded % 2 * DecodedBytes));
            (int panel, int block) = Math.DivRem(item, blocks);
            int column = block * BlockColumns;
            float* scales = w.ScalesOf(firstPanel + panel, column);
            float* to = y + (panel * PanelMatrix.PanelOutputs);
            arguments->Weights = memory + (item % 2 * DecodedBytes);
            arguments->Blocks = Math.Min(BlockColumns, w.Columns - column) / RowPacking.BlockColumns;
            for (int row = first; row < first + rows; row += height)
            {
                arguments->Rows = x.Packed + (row * x.RowBytes) + (column / RowPacking.BlockColumns * arguments->RowsStep);
                tile.Run(arguments);
                AddScaled(sums, scales, height, column > 0, to + (row * stride), stride);
            }
        }
    }

    private static void Decode(PanelMatrix w, int panel, int column, byte* to) =>
        E4M3.ToBFloat16Pairs(WeightsOf(w, panel, column), Math.Min(BlockColumns, w.Columns - column) / 2, to);

    private static byte* WeightsOf(PanelMatrix w, int panel, int column) =>
        w.Data + (panel * w.PanelBytes) + (column * (long)PanelMatrix.PanelOutputs);

    /// <summary><c>y = sums * scales (+ y)</c>, [rows, 32]. What begins with zero fetches the outputs of the next panel, which stores would wait for.</summary>
    [MethodImpl(Jit.Kernel)]
    private static void AddScaled(float* sums, float* scales, int rows, bool resumes, float* y, nint stride)
    {
        Vector512<float> low = Vector512.Load(scales), high = Vector512.Load(scales + 16);
        if (!resumes)
        {
            for (int row = 0; row < rows; row++, sums += PanelMatrix.PanelOutputs, y += stride)
            {
                Vector512.FusedMultiplyAdd(Vector512.Load(sums), low, Vector512<float>.Zero).Store(y);
                Vector512.FusedMultiplyAdd(Vector512.Load(sums + 16), high, Vector512<float>.Zero).Store(y + 16);
                Sse.Prefetch0(y + 32);
                Sse.Prefetch0(y + 48);
            }

            return;
        }

        for (int row = 0; row < rows; row++, sums += PanelMatrix.PanelOutputs, y += stride)
        {
            Vector512.FusedMultiplyAdd(Vector512.Load(sums), low, Vector512.Load(y)).Store(y);
            Vector512.FusedMultiplyAdd(Vector512.Load(sums + 16), high, Vector512.Load(y + 16)).Store(y + 16);
        }
    }
}
