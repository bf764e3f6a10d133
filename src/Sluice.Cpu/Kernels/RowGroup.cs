namespace Sluice.Cpu.Kernels;

/// <summary>What a product wants rows of activations to be.</summary>
internal enum RowForm
{
    /// <summary>Float32, where they are.</summary>
    Float32,

    /// <summary>Float32 in rows of their own, each number the nearest bfloat16.</summary>
    Rounded,

    /// <summary>BF16 in tiles, for <c>vdpbf16ps</c>.</summary>
    BFloat16,

    /// <summary>The same in tiles of up to 32 rows, for AMX.</summary>
    BFloat16Amx,

    /// <summary>INT8 in tiles, for weights stored without an offset.</summary>
    Int8,

    /// <summary>INT8 in tiles, for weights stored 8 too large.</summary>
    Int8Offset8,

    /// <summary>INT8 in tiles, for weights stored 32 too large.</summary>
    Int8Offset32,

    /// <summary>INT8 in tiles, for weights stored 128 too large.</summary>
    Int8Offset128,
}

/// <summary>Rows that share weights, in the form their product wants.</summary>
/// <param name="rows">Pointers to the rows, for forms in float32.</param>
/// <param name="packed">The tiles, for the others; see <see cref="Assembly.RowPacking"/>.</param>
/// <param name="rowBytes">Bytes of a row of tiles.</param>
/// <param name="count">Rows.</param>
internal readonly unsafe struct RowGroup(float** rows, byte* packed, long rowBytes, int count)
{
    public float** Rows => rows;

    public byte* Packed => packed;

    public long RowBytes => rowBytes;

    public int Count => count;

    /// <summary>Some of the rows, from a multiple of <see cref="Assembly.RowPacking.StretchRows"/> on, up to such a multiple or the end.</summary>
    public RowGroup Slice(int first, int length) => new(rows + first, packed + (first * rowBytes), rowBytes, length);
}
