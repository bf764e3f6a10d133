using Sluice.Checkpoints;
using Sluice.Core;

namespace Sluice.Models.Tests;

public sealed class RowOrderTests
{
    [Fact]
    public void Query_key_value_gate_rows_are_regrouped_by_kind()
    {
        // 2 key heads, each [q 1 | k 1 | v 2 heads x 2 | z 2 heads x 2] = 10 rows.
        LinearAttentionConfig shape = new(KeyHeads: 2, ValueHeads: 4, KeyDim: 1, ValueDim: 2, ConvKernel: 4);
        Assert.Equal([0, 10, 1, 11, 2, 3, 4, 5, 12, 13, 14, 15, 6, 7, 8, 9, 16, 17, 18, 19], RowOrder.QueryKeyValueGate(shape));
    }

    [Fact]
    public void Beta_and_decay_rows_are_regrouped_by_kind()
    {
        LinearAttentionConfig shape = new(KeyHeads: 2, ValueHeads: 6, KeyDim: 1, ValueDim: 2, ConvKernel: 4);
        Assert.Equal([0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11], RowOrder.BetaDecay(shape));
    }

    [Fact]
    public void Queries_and_gates_are_regrouped_by_kind()
    {
        AttentionConfig shape = new(QueryHeads: 3, KvHeads: 1, HeadDim: 2, RotaryDim: 2, RopeTheta: 1, OutputGate: true, Bias: false);
        Assert.Equal([0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11], RowOrder.QueryGate(shape));
    }

    [Theory]
    [InlineData(16, 32, 128, 128)]
    [InlineData(1, 3, 64, 128)]
    public void Orders_use_every_row_once(int keyHeads, int valueHeads, int keyDim, int valueDim)
    {
        LinearAttentionConfig shape = new(keyHeads, valueHeads, keyDim, valueDim, 4);
        Assert.Equal(Enumerable.Range(0, shape.ConvChannels + (valueHeads * valueDim)), RowOrder.QueryKeyValueGate(shape).Order());
        Assert.Equal(Enumerable.Range(0, 2 * valueHeads), RowOrder.BetaDecay(shape).Order());
    }
}
