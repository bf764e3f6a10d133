using Sluice.Core;

namespace Sluice.Models.Loading;

/// <summary>
/// Row orders that turn a checkpoint's packing by head into one packing by kind, so that one layout runs. Each lists, for every
/// row wanted, the stored row it is.
/// </summary>
internal static class RowOrder
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
