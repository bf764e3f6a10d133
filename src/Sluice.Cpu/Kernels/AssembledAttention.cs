using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sluice.Backends;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// Blocks of keys and values in BF16 for <see cref="OnlineSoftmax{T,TWide}"/>, with both products in assembled tiles. The same bits: products of two bfloat16 are
/// exact, and sums go over elements and keys in the same order.
/// </summary>
internal sealed unsafe class AssembledAttention(AssembledKernels kernels)
{
    /// <summary>Packs the queries, rounded.</summary>
    public static void PackQueries(in AttentionTile tile)
    {
        for (int row = 0; row < tile.Rows;)
        {
            (int start, int height) = RowPacking.TileOf(row, tile.Rows);
            for (; row < start + height; row++)
            {
                byte* record = tile.RoundedQueries + (start * RowPacking.BFloat16RowBytes(tile.HeadDim)) + ((row - start) * RowPacking.BFloat16RecordBytes);
                RowRounding.PackBFloat16(tile.Queries[row], tile.HeadDim, record, height * RowPacking.BFloat16RecordBytes);
            }
        }
    }

    /// <inheritdoc cref="OnlineSoftmax{T,TWide}.AddBlock"/>
    [SkipLocalsInit]
    public void AddBlock(in AttentionTile tile, int firstPosition, byte** keys, int pages, byte** nextKeys)
    {
        byte** values = stackalloc byte*[(2 * AttentionTile.BlockPages) + 1];
        for (int page = 0; page < AttentionTile.BlockPages; page++)
        {
            values[page] = keys[Math.Min(page, pages - 1)] + tile.ValuesAfterKeys;
            values[AttentionTile.BlockPages + page] = nextKeys[page];
        }

        values[2 * AttentionTile.BlockPages] = values[0];
        Score(tile, keys, pages, values);
        float scale = 1f / MathF.Sqrt(tile.HeadDim);
        for (int row = 0; row < tile.Rows;)
        {
            (int start, int height) = RowPacking.TileOf(row, tile.Rows);
            byte* weights = tile.PackedWeights + (start * AttentionTile.PackedWeightBytes);
            for (; row < start + height; row++)
            {
                int count = OnlineSoftmax<V512, V512>.CountOf(tile, row, firstPosition);
                if (count > 0)
                    OnlineSoftmax<V512, V512>.Weigh<BF16Kv>(tile, row, count, scale, keys, pages);
                else
                    tile.Rescale[row] = 1;
                PackWeights(tile.Scores[row], weights + ((row - start) * CombineTile.WeightBytes), height * CombineTile.WeightBytes);
            }
        }

        Combine(tile, firstPosition, values);
    }

    private void Score(in AttentionTile tile, byte** keys, int pages, byte** values)
    {
        TileArguments arguments = new()
        {
            OutputStride = AttentionTile.BlockKeys * sizeof(float),
            Blocks = tile.HeadDim / RowPacking.BlockColumns,
            Pairs = tile.HeadDim % RowPacking.BlockColumns / 2,
        };
        for (int page = 0; page < pages; page += 2)
        {
            int second = Math.Min(page + 1, pages - 1);
            arguments.Weights = keys[page];
            arguments.MoreWeights = keys[second];
            arguments.Next = values[page];
            arguments.MoreNext = values[second];
            for (int row = 0; row < tile.Rows;)
            {
                (int start, int height) = RowPacking.TileOf(row, tile.Rows);
                arguments.Rows = tile.RoundedQueries + (start * RowPacking.BFloat16RowBytes(tile.HeadDim));
                arguments.Outputs = tile.Scores[start] + (page * KvCache.PageTokens);
                kernels.Scores(height).Run(&arguments);
                row = start + height;
            }
        }
    }

    /// <summary>
    /// Adds values: of the pairs of keys that all rows of a tile see in the tile, of the few that only later rows see row by row. With weight zero they would
    /// reach rows that must not know of them, if they are no numbers, and the last key's neighbour may not be there yet.
    /// </summary>
    private void Combine(in AttentionTile tile, int firstPosition, byte** values)
    {
        const int PagePairs = KvCache.PageTokens / 2;
        TileArguments arguments = new() { OutputStride = tile.ValueStride * sizeof(float), Pages = values };
        for (int column = 0; column < tile.ValueStride; column += BF16Kv.PanelColumns)
        {
            arguments.PageOffset = BF16Kv.ColumnOffset(column);
            for (int row = 0; row < tile.Rows;)
            {
                (int start, int height) = RowPacking.TileOf(row, tile.Rows);
                (arguments.Blocks, arguments.Pairs) = Math.DivRem(CommonPairs(tile, start, firstPosition), PagePairs);
                arguments.Rows = tile.PackedWeights + (start * AttentionTile.PackedWeightBytes);
                arguments.Scales = tile.Rescale + start;
                arguments.Outputs = tile.Sums[start] + column;
                kernels.Combine(height).Run(&arguments);
                row = start + height;
            }
        }

        for (int row = 0; row < tile.Rows;)
        {
            (int start, int height) = RowPacking.TileOf(row, tile.Rows);
            int common = 2 * CommonPairs(tile, start, firstPosition);
            for (; row < start + height; row++)
            {
                int count = OnlineSoftmax<V512, V512>.CountOf(tile, row, firstPosition);
                if (count > common)
                {
                    AttentionProducts<V512, BF16Kv>.Combine(
                        tile.Scores + row, 1, null, values, tile.ValueStride, common, count, tile.Sums + row, values + AttentionTile.BlockPages);
                }
            }
        }
    }

    /// <summary>Pairs of keys that a tile's first row sees, and so all of its rows.</summary>
    private static int CommonPairs(in AttentionTile tile, int first, int firstPosition) => Math.Max(0, OnlineSoftmax<V512, V512>.CountOf(tile, first, firstPosition)) / 2;

    /// <summary>Pairs of weights that have the bits of bfloat16, the first in the upper half; a page's pairs, then the next's <paramref name="stride"/> bytes on.</summary>
    [MethodImpl(Jit.Kernel)]
    private static void PackWeights(float* weights, byte* to, int stride)
    {
        for (int page = 0; page < AttentionTile.BlockPages; page++, weights += KvCache.PageTokens, to += stride)
        {
            Vector512<ulong> pairs = Vector512.Load(weights).AsUInt64();
            Vector512.Narrow((pairs & Vector512.Create(0xFFFF0000ul)) | (pairs >> 48), Vector512<ulong>.Zero).GetLower().Store((uint*)to);
        }
    }
}
