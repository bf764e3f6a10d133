using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>Rows of activations times some panels of a matrix, by one thread.</summary>
internal abstract unsafe class PanelProduct
{
    /// <summary>What it wants rows to be.</summary>
    public abstract RowForm Form { get; }

    /// <summary>
    /// <c>y = x W^T</c> for panels <paramref name="firstPanel"/> to <paramref name="firstPanel"/> + <paramref name="panels"/> - 1.
    /// </summary>
    /// <param name="w">The matrix.</param>
    /// <param name="firstPanel">The first panel.</param>
    /// <param name="panels">Panels.</param>
    /// <param name="x">The rows, in <see cref="Form"/>.</param>
    /// <param name="y">The result, [rows, 32 * panels], padding of the last panel included.</param>
    /// <param name="stride">Floats from one row of the result to the next.</param>
    public abstract void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride);
}

/// <summary><see cref="PanelProduct"/> for registers <typeparamref name="T"/> and weights in <typeparamref name="TFormat"/>.</summary>
/// <remarks>
/// Many rows: a block of columns at a time, so that a panel's share (16 KiB of BF16) stays in the first-level cache while all
/// rows pass by, and the rows' share in the second. Few rows: panel by panel, front to back, as memory likes to be read. The
/// sums of a block go on from those of the one before, so blocks do not change the result. Formats that are costly to decode are decoded once for a block and all rows.
/// </remarks>
internal sealed unsafe class PanelProduct<T, TFormat>(RowForm form) : PanelProduct
    where T : unmanaged, ISimd<T>
    where TFormat : unmanaged, IWeightFormat
{
    private const int BlockColumns = 256;

    // With the columns above 240 KiB, which leaves room in a second level of 512.
    private const int BlockRows = 240;
    private const long SecondLevelFloats = 64 * 1024;

    // Of formats that are decoded: as many bytes, and rows that are worth it.
    private const int DecodedColumns = 128;
    private const int DecodedRows = 18;
    private const int Ahead = 3072;

    private static int GroupsOfPanel => 16 / T.Lanes;

    public override RowForm Form => form;

    public override void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        if (x.Count <= 2)
        {
            MultiplyFew(w, firstPanel, panels, x.Rows, x.Count, y, stride);
            return;
        }

        for (int row = 0; row < x.Count; row += BlockRows)
            MultiplyMany(w, firstPanel, panels, x.Rows + row, Math.Min(BlockRows, x.Count - row), y + (row * stride), stride);
    }

    private static void MultiplyMany(PanelMatrix w, int firstPanel, int panels, float** x, int rows, float* y, nint stride)
    {
        bool decodes = TFormat.IsCostly && rows >= DecodedRows && (!TFormat.Scaled || w.ScaleBlock <= DecodedColumns);
        int block = TFormat.Scaled ? w.ScaleBlock : decodes ? DecodedColumns : BlockColumns;
        if (rows * (long)w.Columns <= SecondLevelFloats)
        {
            for (int panel = 0; panel < panels; panel++)
            {
                for (int column = 0; column < w.Columns; column += block)
                    MultiplyBlock(w, firstPanel + panel, column, block, decodes, x, rows, y + (panel * PanelMatrix.PanelOutputs), stride);
            }

            return;
        }

        for (int column = 0; column < w.Columns; column += block)
        {
            for (int panel = 0; panel < panels; panel++)
                MultiplyBlock(w, firstPanel + panel, column, block, decodes, x, rows, y + (panel * PanelMatrix.PanelOutputs), stride);
        }
    }

    /// <summary>All rows times one panel, over a block of columns.</summary>
    private static void MultiplyBlock(PanelMatrix w, int panel, int column, int block, bool decodes, float** x, int rows, float* y, nint stride)
    {
        int columns = Math.Min(block, w.Columns - column);
        if (decodes)
        {
            MultiplyDecoded(w, panel, column, columns, x, rows, y, stride);
            return;
        }

        for (int group = 0; group < GroupsOfPanel; group++)
            MultiplyGroup<TFormat>(WeightsOf(w, panel, group, column), ScaleOf(w, panel, group, column), column, columns, x, rows, y + (group * T.Lanes), stride);
    }

    /// <summary>The same, weights being decoded first.</summary>
    [SkipLocalsInit]
    private static void MultiplyDecoded(PanelMatrix w, int panel, int column, int columns, float** x, int rows, float* y, nint stride)
    {
        byte* memory = stackalloc byte[(DecodedColumns * PanelMatrix.PanelOutputs * sizeof(float)) + 63];
        byte* decoded = (byte*)((nint)(memory + 63) & -64);
        for (int group = 0; group < GroupsOfPanel; group++)
            Decode(WeightsOf(w, panel, group, column), columns, (float*)decoded + (group * T.Lanes));
        for (int group = 0; group < GroupsOfPanel; group++)
            MultiplyGroup<DecodedFormat<TFormat>>(decoded + (group * 4 * T.Lanes), ScaleOf(w, panel, group, column), column, columns, x, rows, y + (group * T.Lanes), stride);
    }

    /// <summary>A group's weights of some columns as <see cref="F32Format"/> has them.</summary>
    [MethodImpl(Jit.Kernel)]
    private static void Decode(byte* weights, int columns, float* to)
    {
        E4M3Tables tables = TFormat.Tables;
        int bytes = 2 * PanelMatrix.PanelOutputs * TFormat.ElementBytes;
        for (int column = 0; column < columns; column += 2, weights += bytes, to += 2 * PanelMatrix.PanelOutputs)
        {
            Cache.Prefetch(weights + Ahead);
            TFormat.LoadFirst(weights, tables, out T low, out T high, out T kept);
            T.Store(low, to);
            T.Store(high, to + 16);
            TFormat.LoadSecond(weights, kept, out low, out high);
            T.Store(low, to + 32);
            T.Store(high, to + 48);
        }
    }

    private static void MultiplyGroup<TStored>(byte* weights, float* scale, int column, int columns, float** x, int rows, float* y, nint stride)
        where TStored : unmanaged, IWeightFormat
    {
        bool resume = column > 0;
        int row = 0;

        // Twelve rows need 24 accumulators.
        for (; T.ManyRegisters && row + 12 <= rows; row += 12)
            PanelTile<T, TStored>.Rows12(x + row, column, weights, columns, y + (row * stride), stride, scale, resume);
        for (; row + 6 <= rows; row += 6)
            PanelTile<T, TStored>.Rows6(x + row, column, weights, columns, y + (row * stride), stride, scale, resume);
        if (row + 4 <= rows)
        {
            PanelTile<T, TStored>.Rows4(x + row, column, weights, columns, y + (row * stride), stride, scale, resume);
            row += 4;
        }

        if (row + 2 <= rows)
        {
            PanelTile<T, TStored>.Rows2(x + row, column, weights, columns, y + (row * stride), stride, scale, resume);
            row += 2;
        }

        if (row < rows)
            PanelTile<T, TStored>.Rows1(x + row, column, weights, columns, y + (row * stride), stride, scale, resume);
    }

    /// <summary>One or two rows: several groups at a time, each over all columns, or all columns of each scale block.</summary>
    private static void MultiplyFew(PanelMatrix w, int firstPanel, int panels, float** x, int rows, float* y, nint stride)
    {
        byte** weights = stackalloc byte*[4];
        float** scales = stackalloc float*[4];
        float** to = stackalloc float*[4];
        int groups = panels * GroupsOfPanel;
        int wide = rows == 1 ? 4 : 2;
        int block = TFormat.Scaled ? w.ScaleBlock : w.Columns;
        int group = 0;
        for (; group + wide <= groups; group += wide)
        {
            for (int column = 0; column < w.Columns; column += block)
            {
                for (int i = 0; i < wide; i++)
                {
                    (int panel, int part) = Math.DivRem(group + i, GroupsOfPanel);
                    weights[i] = WeightsOf(w, firstPanel + panel, part, column);
                    scales[i] = ScaleOf(w, firstPanel + panel, part, column);
                    to[i] = y + (panel * PanelMatrix.PanelOutputs) + (part * T.Lanes);
                }

                int columns = Math.Min(block, w.Columns - column);
                if (rows == 1)
                    PanelTile<T, TFormat>.Rows1Groups4(x, column, weights, columns, to, stride, scales, column > 0);
                else
                    PanelTile<T, TFormat>.Rows2Groups2(x, column, weights, columns, to, stride, scales, column > 0);
            }
        }

        for (; group < groups; group++)
        {
            (int panel, int part) = Math.DivRem(group, GroupsOfPanel);
            for (int column = 0; column < w.Columns; column += block)
            {
                int columns = Math.Min(block, w.Columns - column);
                byte* from = WeightsOf(w, firstPanel + panel, part, column);
                float* scale = ScaleOf(w, firstPanel + panel, part, column);
                float* at = y + (panel * PanelMatrix.PanelOutputs) + (part * T.Lanes);
                if (rows == 1)
                    PanelTile<T, TFormat>.Rows1(x, column, from, columns, at, stride, scale, column > 0);
                else
                    PanelTile<T, TFormat>.Rows2(x, column, from, columns, at, stride, scale, column > 0);
            }
        }
    }

    private static byte* WeightsOf(PanelMatrix w, int panel, int group, int column) =>
        w.Data + (panel * w.PanelBytes) + ((long)column * PanelMatrix.PanelOutputs * TFormat.ElementBytes) + (group * 4 * T.Lanes);

    private static float* ScaleOf(PanelMatrix w, int panel, int group, int column) => TFormat.Scaled
        ? w.ScalesOf(panel, column) + (group * T.Lanes)
        : null;
}
