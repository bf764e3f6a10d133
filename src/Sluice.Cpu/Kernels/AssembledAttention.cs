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
        byte** values = stackalloc byte*[2 * AttentionTile.BlockPages];
        for (int page = 0; page < AttentionTile.BlockPages; page++)
        {
            values[page] = keys[Math.Min(page, pages - 1)] + tile.ValuesAfterKeys;
            values[AttentionTile.BlockPages + page] = nextKeys[page];
        }

        Score(tile, keys, pages, values);
        float scale = 1f / MathF.Sqrt(tile.HeadDim);
        for (int row = 0; row < tile.Rows;)
        {
            (int start, int height) = RowPacking.TileOf(row, tile.Rows);
            byte* weights = tile.PackedWeights + (start * AttentionTile.PackedWeightBytes);
            for (; row < start + height; row++)
            {
                // A row that is before the block goes through it unchanged.
                int count = OnlineSoftmax<V512, V512>.CountOf(tile, row, firstPosition);
                if (count > 0)
                {
                    OnlineSoftmax<V512, V512>.Weigh<BF16Kv>(tile, row, count, scale, keys, pages);
                }
                else
                {
                    new Span<float>(tile.Scores[row], AttentionTile.BlockKeys).Clear();
                    tile.Rescale[row] = 1;
                }

                PackWeights(tile.Scores[row], weights + ((row - start) * CombineTile.RecordBytes), height * CombineTile.RecordBytes);
            }
        }

        int seen = OnlineSoftmax<V512, V512>.CountOf(tile, tile.Rows - 1, firstPosition);
        Combine(tile, values, seen / 2);
        if (seen % 2 == 1)
        {
            // Beside the last key lies one that is not there yet.
            AttentionProducts<V512, BF16Kv>.Combine(
                tile.Scores, tile.Rows, null, values, tile.ValueStride, seen - 1, seen, tile.Sums, values + AttentionTile.BlockPages);
        }
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

    /// <summary>Adds the values of so many pairs of keys.</summary>
    private void Combine(in AttentionTile tile, byte** values, int pairs)
    {
        const int PagePairs = KvCache.PageTokens / 2;
        TileArguments arguments = new()
        {
            OutputStride = tile.ValueStride * sizeof(float),
            Blocks = pairs / PagePairs,
            Pairs = pairs % PagePairs,
            Pages = values,
        };
        for (int column = 0; column < tile.ValueStride; column += BF16Kv.PanelColumns)
        {
            arguments.PageOffset = BF16Kv.ColumnOffset(column);
            for (int row = 0; row < tile.Rows;)
            {
                (int start, int height) = RowPacking.TileOf(row, tile.Rows);
                arguments.Rows = tile.PackedWeights + (start * AttentionTile.PackedWeightBytes);
                arguments.Scales = tile.Rescale + start;
                arguments.Outputs = tile.Sums[start] + column;
                kernels.Combine(height).Run(&arguments);
                row = start + height;
            }
        }
    }

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
