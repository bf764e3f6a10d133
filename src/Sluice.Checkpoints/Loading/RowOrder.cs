using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>
/// Row orders that turn a checkpoint's packing by head into one packing by kind, so that one layout runs. Each lists, for every
/// row wanted, the stored row it is.
/// </summary>
public static class RowOrder
{
    /// <summary>
    /// Rows of Qwen3-Next's <c>in_proj_qkvz</c>, stored for each key head as <c>[q DK | k DK | v r*DV | z r*DV]</c>, in the order
    /// <c>[all q | all k | all v | all z]</c>.
    /// </summary>
    public static int[] QueryKeyValueGate(LinearAttentionConfig shape)
    {
        int values = shape.ValueHeads / shape.KeyHeads * shape.ValueDim;
        return ByKind(shape.KeyHeads, [shape.KeyDim, shape.KeyDim, values, values]);
    }

    /// <summary>
    /// Rows of Qwen3-Next's <c>in_proj_ba</c>, stored for each key head as <c>[b r | a r]</c>, in the order <c>[all b | all a]</c>.
    /// </summary>
    public static int[] BetaDecay(LinearAttentionConfig shape)
    {
        int heads = shape.ValueHeads / shape.KeyHeads;
        return ByKind(shape.KeyHeads, [heads, heads]);
    }

    /// <summary>
    /// Rows of a gated <c>q_proj</c>, stored for each head as <c>[query headDim | gate headDim]</c>, in the order
    /// <c>[all queries | all gates]</c>.
    /// </summary>
    public static int[] QueryGate(AttentionConfig shape) => ByKind(shape.QueryHeads, [shape.HeadDim, shape.HeadDim]);

    /// <summary>Value heads of <paramref name="width"/> rows each, stored tiled, in the order by key head.</summary>
    internal static int[] Grouped(LinearAttentionConfig shape, int width)
    {
        int perKey = shape.ValueHeads / shape.KeyHeads;
        int[] order = new int[shape.ValueHeads * width];
        for (int head = 0; head < shape.ValueHeads; head++)
        {
            int tiled = (head % perKey * shape.KeyHeads) + (head / perKey);
            for (int i = 0; i < width; i++)
                order[(head * width) + i] = (tiled * width) + i;
        }

        return order;
    }

    /// <summary>The channels of q and k as they are, then those of v as <see cref="Grouped"/> has them.</summary>
    internal static int[] GroupedChannels(LinearAttentionConfig shape)
    {
        int keys = 2 * shape.KeyHeads * shape.KeyDim;
        return [.. Enumerable.Range(0, keys), .. Grouped(shape, shape.ValueDim).Select(row => keys + row)];
    }

    /// <summary>The reverse of an order: where each row goes.</summary>
    internal static int[] Inverse(int[] order)
    {
        int[] inverse = new int[order.Length];
        for (int i = 0; i < order.Length; i++)
            inverse[order[i]] = i;
        return inverse;
    }

    /// <summary>Heads that each store <paramref name="widths"/> rows of several kinds, regrouped by kind.</summary>
    private static int[] ByKind(int heads, ReadOnlySpan<int> widths)
    {
        int perHead = 0;
        foreach (int width in widths)
            perHead += width;
        int[] order = new int[checked(heads * perHead)];
        int next = 0;
        int start = 0;
        foreach (int width in widths)
        {
            for (int head = 0; head < heads; head++)
            {
                for (int i = 0; i < width; i++)
                    order[next++] = (head * perHead) + start + i;
            }

            start += width;
        }

        return order;
    }
}
