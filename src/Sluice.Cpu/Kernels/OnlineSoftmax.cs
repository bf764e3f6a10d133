using System.Runtime.CompilerServices;
using Sluice.Backends;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// Softmax over keys that arrive a block at a time (Milakov and Gimelshein, arXiv:1805.02867). A row's arithmetic is fixed by the positions
/// of the blocks alone. <typeparamref name="T"/> computes products, <typeparamref name="TWide"/> has 16 lanes.
/// </summary>
internal static unsafe class OnlineSoftmax<T, TWide>
    where T : unmanaged, ISimd<T>
    where TWide : unmanaged, ISimd<TWide>
{
    /// <summary>2^16 + 1: a number times it, less that product less the number, has the 8 bits of a bfloat16, rounded to the nearest (Veltkamp's splitting).</summary>
    private const float Splitter = 65537;

    /// <summary>Weights below it, which no sum shows, are zero when rounded: they would not come through products of pairs.</summary>
    private const float LeastWeight = 1e-30f;

    /// <summary>Begins: no keys yet.</summary>
    public static void Clear(in AttentionTile tile)
    {
        for (int row = 0; row < tile.Rows; row++)
        {
            tile.Largest[row] = float.NegativeInfinity;
            new Span<float>(tile.Totals + (row * TWide.Lanes), TWide.Lanes).Clear();
            new Span<float>(tile.Sums[row], tile.ValueStride).Clear();
        }
    }

    /// <summary>Rounds the queries to BF16, if that is asked.</summary>
    public static void RoundQueries(in AttentionTile tile)
    {
        for (int row = 0; tile.IsRounded && row < tile.Rows; row++)
        {
            float* rounded = (float*)tile.RoundedQueries + ((nint)row * tile.HeadDim);
            RowRounding.ToBFloat16(tile.Queries[row], tile.HeadDim, rounded);
            tile.Queries[row] = rounded;
        }
    }

    /// <summary>
    /// Takes the block of keys at positions from <paramref name="firstPosition"/> on. Rows before it are left as they are; each of the
    /// others takes the keys up to its own position.
    /// </summary>
    /// <param name="tile">The rows.</param>
    /// <param name="firstPosition">Position of the block's first key, a multiple of 64.</param>
    /// <param name="keys">The block's pages, where their keys begin; those beyond the last row's position may be missing.</param>
    /// <param name="pages">Pages there are.</param>
    /// <param name="nextKeys">As many pages of the block of keys that comes next, to be fetched meanwhile.</param>
    [SkipLocalsInit]
    public static void AddBlock<TKv>(in AttentionTile tile, int firstPosition, byte** keys, int pages, byte** nextKeys)
        where TKv : struct, IKvFormat
    {
        byte** values = stackalloc byte*[AttentionTile.BlockPages];
        for (int page = 0; page < AttentionTile.BlockPages; page++)
            values[page] = keys[Math.Min(page, pages - 1)] + tile.ValuesAfterKeys;
        int first = 0;
        while (first < tile.Rows && tile.Positions[first] < firstPosition)
            first++;
        int rows = tile.Rows - first;
        AttentionProducts<T, TKv>.Scores(tile.Queries + first, rows, tile.HeadDim, keys, pages, tile.Scores + first, values);

        float scale = 1f / MathF.Sqrt(tile.HeadDim);
        for (int row = first; row < tile.Rows; row++)
            Weigh<TKv>(tile, row, CountOf(tile, row, firstPosition), scale, keys, pages);

        // The keys every row of a run may see are added together; those that only later rows see, row by row. Adding them with
        // weight zero instead would read what is not there yet.
        for (int row = first; row < tile.Rows;)
        {
            int common = CountOf(tile, row, firstPosition);
            int run = common == AttentionTile.BlockKeys ? tile.Rows - row : Math.Min(6, tile.Rows - row);
            AttentionProducts<T, TKv>.Combine(
                tile.Scores + row, run, tile.Rescale + row, values, tile.ValueStride, 0, common, tile.Sums + row, nextKeys);
            for (int end = row + run; row < end; row++)
            {
                int count = CountOf(tile, row, firstPosition);
                if (count > common)
                {
                    AttentionProducts<T, TKv>.Combine(
                        tile.Scores + row, 1, null, values, tile.ValueStride, common, count, tile.Sums + row, nextKeys);
                }
            }
        }
    }

    /// <summary>Adds what <paramref name="later"/> has gathered for the same rows from keys that follow this tile's.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void Merge(in AttentionTile tile, in AttentionTile later)
    {
        for (int row = 0; row < tile.Rows; row++)
        {
            // A row that sees none of the later keys must come out as if they had never been looked at.
            if (float.IsNegativeInfinity(later.Largest[row]))
                continue;
            float both = MathF.Max(tile.Largest[row], later.Largest[row]);
            TWide mine = VectorMath.Exp(TWide.Broadcast(tile.Largest[row] - both));
            TWide other = VectorMath.Exp(TWide.Broadcast(later.Largest[row] - both));
            tile.Largest[row] = both;
            MergeScaled(tile.Totals + (row * TWide.Lanes), mine, later.Totals + (row * TWide.Lanes), other, TWide.Lanes);
            MergeScaled(tile.Sums[row], mine, later.Sums[row], other, tile.ValueStride);
        }
    }

    /// <summary>Ends: <c>y = sums / total</c>, times <c>sigmoid(gate)</c> if there is a gate.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void Finish(in AttentionTile tile, int row, float* gate, float* y)
    {
        TWide factor = TWide.Broadcast(1f / TWide.Sum(TWide.Load(tile.Totals + (row * TWide.Lanes))));
        float* sum = tile.Sums[row];
        int i = 0;
        for (; i + TWide.Lanes <= tile.HeadDim; i += TWide.Lanes)
        {
            TWide result = TWide.Load(sum + i) * factor;
            if (gate != null)
                result *= VectorMath.Sigmoid(TWide.Load(gate + i));
            TWide.Store(result, y + i);
        }

        if (i < tile.HeadDim)
        {
            int count = tile.HeadDim - i;
            TWide result = TWide.Load(sum + i) * factor;
            if (gate != null)
                result *= VectorMath.Sigmoid(Partial.Load<TWide>(gate + i, count));
            Partial.Store(result, y + i, count);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void MergeScaled(float* x, TWide xScale, float* y, TWide yScale, int count)
    {
        for (int i = 0; i < count; i += TWide.Lanes)
            TWide.Store(TWide.MultiplyAdd(TWide.Load(x + i), xScale, TWide.Load(y + i) * yScale), x + i);
    }

    /// <summary>The factors of 16 keys of a block; of a page that is missing, another's, for weights that nobody reads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float* FactorsOf(in AttentionTile tile, byte** keys, int key, int pages) =>
        (float*)(keys[Math.Min(key / KvCache.PageTokens, pages - 1)] + tile.FactorsAfterKeys);

    /// <summary>The keys of a block that a row sees.</summary>
    public static int CountOf(in AttentionTile tile, int row, int firstPosition) =>
        Math.Min(AttentionTile.BlockKeys, tile.Positions[row] + 1 - firstPosition);

    /// <summary>
    /// From scores of a row's first <paramref name="count"/> keys to weights, with the row's maximum and total. Where keys and values have factors,
    /// scores take those of the keys first, and weights those of the values last, when the total has been taken.
    /// </summary>
    [MethodImpl(Jit.Kernel)]
    public static void Weigh<TKv>(in AttentionTile tile, int row, int count, float scale, byte** keys, int pages)
        where TKv : struct, IKvFormat
    {
        float* scores = tile.Scores[row];
        TWide scaling = TWide.Broadcast(scale);
        TWide none = TWide.Broadcast(float.NegativeInfinity);
        TWide largest = none;
        for (int i = 0; i < AttentionTile.BlockKeys; i += TWide.Lanes)
        {
            // Keys this row may not see: whatever is in their scores, or in the pages, has no part in it.
            TWide score = TWide.Load(scores + i);
            if (TKv.Scaled)
                score *= TWide.Load(FactorsOf(tile, keys, i, pages));
            score *= scaling;
            if (i + TWide.Lanes > count)
                score = TWide.SelectLess(TWide.LaneNumbers, TWide.Broadcast(count - i), score, none);
            largest = TWide.Max(largest, score);
            TWide.Store(score, scores + i);
        }

        float before = tile.Largest[row];
        float now = MathF.Max(before, TWide.Largest(largest));
        tile.Largest[row] = now;
        TWide shift = TWide.Broadcast(now);
        TWide sum = TWide.Zero;
        for (int i = 0; i < AttentionTile.BlockKeys; i += TWide.Lanes)
        {
            TWide weight = VectorMath.Exp(TWide.Load(scores + i) - shift);
            if (tile.IsRounded)
            {
                TWide split = weight * TWide.Broadcast(Splitter);
                weight = TWide.SelectLess(weight, TWide.Broadcast(LeastWeight), TWide.Zero, split - (split - weight));
            }

            sum += weight;
            if (TKv.Scaled)
                weight *= TWide.Load(FactorsOf(tile, keys, i, pages) + KvCache.PageTokens);
            TWide.Store(weight, scores + i);
        }

        TWide rescale = VectorMath.Exp(TWide.Broadcast(before - now));
        float* totals = tile.Totals + (row * TWide.Lanes);
        TWide.Store(TWide.MultiplyAdd(TWide.Load(totals), rescale, sum), totals);
        Partial.Store(rescale, tile.Rescale + row, 1);
    }
}
