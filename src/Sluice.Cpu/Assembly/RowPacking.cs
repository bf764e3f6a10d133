namespace Sluice.Cpu.Assembly;

/// <summary>
/// How rows of activations lie for tiles: [blocks of 32 columns, rows of the tile, a record]. A group of rows that share weights is cut into
/// tiles of 12, its last stretch of less than <see cref="StretchRows"/> into tiles of nearly equal height, since a tile of one row
/// takes as long as one of six. AMX takes 32 and what is left, INT8 a stretch. Whatever the tiles, a group of n rows takes the bytes of n rows.
/// </summary>
internal static class RowPacking
{
    /// <summary>Most rows of a tile that keeps sums in registers.</summary>
    public const int TileRows = 12;

    /// <summary>Rows of a tile for AMX; a group's last may have fewer.</summary>
    public const int AmxTileRows = 32;

    /// <summary>A group may be cut after every so many rows without changing its tiles.</summary>
    public const int StretchRows = 8 * TileRows;

    /// <summary>Columns of a block.</summary>
    public const int BlockColumns = 32;

    /// <summary>Pairs of columns of a block.</summary>
    public const int BFloat16BlockPairs = BlockColumns / 2;

    /// <summary>Bytes of a block of one row in BF16.</summary>
    public const int BFloat16RecordBytes = 2 * BlockColumns;

    /// <summary>Bytes of a row in BF16.</summary>
    public static nint BFloat16RowBytes(int columns) => (nint)((columns + BlockColumns - 1) / BlockColumns) * BFloat16RecordBytes;

    /// <summary>
    /// Bytes of a block of one row in INT8: 32 numbers; from <see cref="Int8InitialAt"/> on what sums of their products with weights begin
    /// from, for each half of them (int32); at <see cref="Int8MagicAt"/> what to subtract from the sums; at <see cref="Int8SharedAt"/> something that
    /// the superblock shares.
    /// </summary>
    /// <remarks>
    /// Sums begin from the bits of 1.5 * 2^23 * 2^e, e being the block's exponent, less the weights' offset times the sum of the
    /// numbers. Integers added to those bits are multiples of 2^e added to that number, so what was a sum in int32 is, as a float32 and
    /// with that number subtracted, the block's product, exactly (sums stay below 2^22): no conversion, and no multiplication by the block's factor.
    /// </remarks>
    public const int Int8RecordBytes = 48;

    /// <summary>Where a record has what sums begin from: for all of the block or its first half; for its second.</summary>
    public const int Int8InitialAt = 32;

    /// <summary>Where a record has 1.5 * 2^23 * 2^e.</summary>
    public const int Int8MagicAt = 40;

    /// <summary>
    /// In even records of a superblock the sums of this block and the next (where weights subtract something), in 16 bits with
    /// <see cref="Int8SumBits"/> of them after the point; in the last the row's factor.
    /// </summary>
    public const int Int8SharedAt = 44;

    /// <summary>Bits after the point of a block's sum in units of the row's factor: 32 * 127 * 8 fits 16 bits.</summary>
    public const int Int8SumBits = 3;

    /// <summary>Blocks of columns that INT8 rows and weights are padded to.</summary>
    public const int Int8SuperBlocks = 8;

    /// <summary>The tile that holds a row of a group: its first row and its height.</summary>
    public static (int First, int Rows) TileOf(int row, int rowsOfGroup)
    {
        int even = rowsOfGroup / StretchRows * StretchRows;
        if (row < even)
            return (row / TileRows * TileRows, TileRows);
        int rest = rowsOfGroup - even;
        int tiles = (rest + TileRows - 1) / TileRows;
        (int height, int taller) = Math.DivRem(rest, tiles);
        int at = row - even;
        int edge = taller * (height + 1);
        return at < edge
            ? (even + (at / (height + 1) * (height + 1)), height + 1)
            : (even + edge + ((at - edge) / height * height), height);
    }

    /// <summary>The same in INT8: a tile takes what a stretch has.</summary>
    public static (int First, int Rows) Int8TileOf(int row, int rowsOfGroup) => FullTileOf(row, rowsOfGroup, StretchRows);

    /// <summary>The same for AMX.</summary>
    public static (int First, int Rows) AmxTileOf(int row, int rowsOfGroup) => FullTileOf(row, rowsOfGroup, AmxTileRows);

    /// <summary>Tiles are full but for the last.</summary>
    private static (int First, int Rows) FullTileOf(int row, int rowsOfGroup, int tileRows)
    {
        int first = row / tileRows * tileRows;
        return (first, Math.Min(tileRows, rowsOfGroup - first));
    }
}
