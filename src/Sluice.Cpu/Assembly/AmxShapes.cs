using System.Runtime.InteropServices;

namespace Sluice.Cpu.Assembly;

/// <summary>
/// What <c>ldtilecfg</c> loads. Of the eight tile registers four are sums, [rows 0..15 or 16..31, outputs 0..15 or 16..31], two are the rows and
/// two the weights of a block of columns.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal unsafe struct AmxShapes
{
    /// <summary>Most rows of a tile register.</summary>
    public const int TileRows = 16;

    /// <summary>Bytes of a row of a tile register.</summary>
    public const int RowBytes = 64;

    private const int Sums = 0;
    private const int RowTiles = 4;
    private const int WeightTiles = 6;

    private byte _palette;
    private byte _startRow;
    private fixed byte _reserved[14];
    private fixed ushort _rowBytes[16];
    private fixed byte _rows[16];

    /// <summary>For some rows (up to two tiles of them) and groups of columns that take four bytes of a row: pairs in BF16, fours in INT8.</summary>
    public static AmxShapes Of(int rows, int groups)
    {
        AmxShapes shapes = new() { _palette = 1 };
        for (int half = 0; half < 2; half++)
        {
            int height = Math.Clamp(rows - (half * TileRows), 0, TileRows);
            if (height > 0)
            {
                shapes.Set(RowTiles + half, height, 4 * groups);
                shapes.Set(Sums + (2 * half), height, RowBytes);
                shapes.Set(Sums + (2 * half) + 1, height, RowBytes);
            }

            shapes.Set(WeightTiles + half, groups, RowBytes);
        }

        return shapes;
    }

    private void Set(int tile, int rows, int bytes)
    {
        _rows[tile] = (byte)rows;
        _rowBytes[tile] = (ushort)bytes;
    }
}
