using Sluice.Backends;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Memory;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// Query rows that share a key and value head and are attended to together: the heads of a group, of one or several neighbouring
/// tokens, in order of position. Pointers into a thread's scratch memory.
/// </summary>
internal unsafe struct AttentionTile
{
    /// <summary>Keys of a block: the online softmax takes them a block at a time, at fixed positions.</summary>
    public const int BlockKeys = 64;

    /// <summary>Pages of a block.</summary>
    public const int BlockPages = BlockKeys / PageTokens;

    /// <summary>Bytes of a row's <see cref="PackedWeights"/>.</summary>
    public const int PackedWeightBytes = BlockKeys * sizeof(ushort);

    /// <summary>Pages are of 16 tokens.</summary>
    private const int PageTokens = 16;

    /// <summary>Rows.</summary>
    public int Rows;

    /// <summary>Elements of a head.</summary>
    public int HeadDim;

    /// <summary>Numbers of a row of <see cref="Sums"/> and of a value in its page, a multiple of 16.</summary>
    public int ValueStride;

    /// <summary>What the pages hold.</summary>
    public KvDtype KvType;

    /// <summary>Bytes from a page's keys to their factors, behind which are those of its values; nothing for types without.</summary>
    public int FactorsAfterKeys;

    /// <summary>Bytes from a page's keys to its values.</summary>
    public int ValuesAfterKeys;

    /// <summary>Whether queries and weights are rounded to BF16, as keys and values were.</summary>
    public bool IsRounded;

    /// <summary>Query rows, each [headDim].</summary>
    public float** Queries;

    /// <summary>Where rounded queries are kept: as float32, [rows, headDim], or packed for tiles.</summary>
    public byte* RoundedQueries;

    /// <summary>Where weights of a block are packed for tiles: [row tiles, pages, rows of the tile, 8 pairs].</summary>
    public byte* PackedWeights;

    /// <summary>Position of each row, ascending.</summary>
    public int* Positions;

    /// <summary>Rows of [64]: the scores of a block, then their weights.</summary>
    public float** Scores;

    /// <summary>The largest score of each row so far.</summary>
    public float* Largest;

    /// <summary>The sum of weights of each row so far, by lane: [rows, 16].</summary>
    public float* Totals;

    /// <summary>What <see cref="Sums"/> must be multiplied with because <see cref="Largest"/> grew.</summary>
    public float* Rescale;

    /// <summary>The weighted sum of values of each row so far, [valueStride].</summary>
    public float** Sums;

    /// <summary>Bytes a tile of at most <paramref name="rows"/> rows needs.</summary>
    public static long BytesOf(int rows, CpuKvCache kv, bool isRounded) =>
        rows * ((long)(3 * sizeof(float*)) + (sizeof(float) * (BlockKeys + 16L + kv.ValueStride + 4)) + (isRounded ? QueryBytes(kv) + PackedWeightBytes : 0));

    /// <summary>Lays a tile of at most <paramref name="rows"/> rows into memory.</summary>
    public static AttentionTile In(byte* memory, int rows, CpuKvCache kv, bool isRounded)
    {
        int valueStride = kv.ValueStride;
        AttentionTile tile = new()
        {
            HeadDim = kv.HeadDim,
            ValueStride = valueStride,
            KvType = kv.Type,
            FactorsAfterKeys = kv.FactorsAfterKeys,
            ValuesAfterKeys = kv.ValuesAfterKeys,
            IsRounded = isRounded,
        };
        float* scores = (float*)memory;
        float* sums = scores + (rows * BlockKeys);
        tile.Totals = sums + ((nint)rows * valueStride);
        tile.Largest = tile.Totals + (rows * 16);
        tile.Rescale = tile.Largest + rows;
        tile.Positions = (int*)(tile.Rescale + rows);

        // Two rows of floats are left unused for the sake of pointers' alignment when rows is odd.
        float** pointers = (float**)(tile.Positions + (2 * rows));
        tile.Scores = pointers;
        tile.Sums = pointers + rows;
        tile.Queries = pointers + (2 * rows);
        tile.RoundedQueries = (byte*)(pointers + (3 * rows));
        tile.PackedWeights = tile.RoundedQueries + (rows * QueryBytes(kv));
        for (int row = 0; row < rows; row++)
        {
            tile.Scores[row] = scores + (row * BlockKeys);
            tile.Sums[row] = sums + ((nint)row * valueStride);
        }

        return tile;
    }

    private static nint QueryBytes(CpuKvCache kv) => Math.Max((nint)kv.HeadDim * sizeof(float), RowPacking.BFloat16RowBytes(kv.HeadDim));
}
