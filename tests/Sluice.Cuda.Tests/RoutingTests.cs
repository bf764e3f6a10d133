using Sluice.Backends;
using Sluice.Cuda.Driver;
using Sluice.Cuda.Memory;
using Sluice.Cuda.Operations;

namespace Sluice.Cuda.Tests;

/// <summary>The choice of experts, and the order in which their kernel works, at the sizes of real models and on both sides of every way of doing it.</summary>
public sealed unsafe class RoutingTests
{
    [Theory]
    [InlineData(512, 10)]
    [InlineData(512, 7)]
    [InlineData(32, 4)]
    [InlineData(128, 8)]
    [InlineData(1024, 32)]
    [InlineData(1024, 4)]
    [InlineData(60, 6)]
    [InlineData(32, 32)]
    public void Assignments_are_sorted_by_expert_and_cut_into_tiles(int experts, int topK)
    {
        Assert.SkipUnless(Card.IsThere, Card.WhyNot);
        using CudaBackend card = CudaBackend.Open();
        Random random = new(experts);
        foreach (int rows in (int[])[1, 2, 8, 9, 16, 17, 33, 64, 65, 128, 129, 200, 256, 257, 700])
        {
            float[][] logits = [.. Enumerable.Range(0, rows).Select(row => row % 7 == 5 ? EqualLogits(random, experts) : RandomLogits(random, experts, isCoarse: row % 3 == 0))];
            Activation x = card.Allocate(rows, experts, isPrecise: true);
            for (int row = 0; row < rows; row++)
                card.Write(logits[row], x, row);
            var routing = (CudaRouting)card.AllocateRouting(rows, topK);
            card.Route(x, normalise: rows % 2 == 0, routing, rows);
            Check(card, routing, logits, experts, rows);
        }
    }

    private static void Check(CudaBackend card, CudaRouting routing, float[][] logits, int experts, int rows)
    {
        int topK = routing.TopK;
        MixtureOfExperts.Layout layout = MixtureOfExperts.Layout.Of(rows, topK);
        int[] ids = Read(card, routing.Experts, rows * topK);
        int[] sorted = Read(card, routing.Plan, rows * topK);
        int tiles = Read(card, routing.Plan + layout.Plan, 1)[0];
        int[] plan = Read(card, routing.Plan + layout.Plan, (1 + tiles) * 4);
        int[] ready = Read(card, routing.Plan + layout.Ready, tiles);

        int[] expected = [.. logits.SelectMany(row => Enumerable.Range(0, experts).OrderByDescending(e => row[e]).ThenBy(e => e).Take(topK))];
        Assert.Equal(expected, ids);
        Assert.Equal(Enumerable.Range(0, ids.Length).OrderBy(i => ids[i]).ThenBy(i => i), sorted);
        int next = 0;
        for (int tile = 0; tile < tiles; tile++)
        {
            (int expert, int first, int count) = (plan[4 * (1 + tile)], plan[(4 * (1 + tile)) + 1], plan[(4 * (1 + tile)) + 2]);
            Assert.Equal(next, first);
            Assert.InRange(count, 1, routing.TileRows);
            Assert.All(sorted[first..(first + count)], i => Assert.Equal(expert, ids[i]));
            next += count;
        }

        Assert.Equal(ids.Length, next);
        Assert.All(ready, word => Assert.Equal(0, word));
    }

    private static int[] Read(CudaBackend card, ulong address, int words)
    {
        using PinnedMemory host = new(words * sizeof(int));
        CudaStatus.Check(DriverApi.CopyToHost(host.Address, address, (nuint)words * sizeof(int), card.Stream.Handle), "reading");
        card.Stream.Synchronise("reading");
        return new ReadOnlySpan<int>(host.Address, words).ToArray();
    }

    private static float[] RandomLogits(Random random, int count, bool isCoarse)
    {
        float[] logits = new float[count];
        for (int i = 0; i < count; i++)
            logits[i] = (float)(random.NextDouble() * 8) - 4;
        return isCoarse ? Array.ConvertAll(logits, x => MathF.Round(x)) : logits;
    }

    // So many that are equal that there is no room to sort them: all, zeros of either sign, or all but a few.
    private static float[] EqualLogits(Random random, int count)
    {
        float[] logits = new float[count];
        int kind = random.Next(3);
        for (int i = 0; i < count; i++)
            logits[i] = kind == 0 ? 1 : i % 2 == 0 ? 0f : -0f;
        for (int i = 0; kind == 2 && i < 3; i++)
            logits[random.Next(count)] = 2;
        return logits;
    }
}
