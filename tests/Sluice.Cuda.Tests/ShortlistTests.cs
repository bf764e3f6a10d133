using Sluice.Backends;
using Sluice.Tests;

namespace Sluice.Cuda.Tests;

/// <summary>Shortlists of rows of logits against a full sort on the host; skipped without a card.</summary>
public sealed class ShortlistTests
{
    [Theory]
    [InlineData(7)]
    [InlineData(300)]
    [InlineData(8192)]
    [InlineData(8199)]
    [InlineData(151_936)]
    public void Holds_the_likeliest_the_sums_and_a_draw(int vocabulary)
    {
        Assert.SkipUnless(Card.IsThere, Card.WhyNot);
        using CudaBackend card = CudaBackend.Open();
        Random random = new(vocabulary);
        const int Rows = 6;
        float[][] logits = [.. Enumerable.Range(0, Rows).Select(row => RandomLogits(random, vocabulary, row))];
        Activation rows = card.Allocate(Rows, vocabulary, isPrecise: true);
        for (int row = 0; row < Rows; row++)
            card.Write(logits[row], rows, row);
        LogitShortlists found = new(8);
        LogitShortlists expected = new(8);
        for (int row = 0; row < Rows; row++)
        {
            (float temperature, double uniform) = (row % 3 * 0.7f, row == 1 ? -1 : random.NextDouble());
            found.Ask(temperature, uniform);
            expected.Ask(temperature, uniform);
        }

        Find(card, rows, found);
        HostShortlists.Fill(logits, expected);
        for (int row = 0; row < Rows; row++)
        {
            Assert.True(found[row].IsUsable);
            Assert.Equal(expected[row].Ids, found[row].Ids);
            Assert.Equal(expected[row].Logits, found[row].Logits);
            Assert.Equal(1, found[row].Total / expected[row].Total, 1e-4f);
            if (row % 3 > 0)
                Assert.Equal(1, found[row].TemperedTotal / expected[row].TemperedTotal, 1e-4f);
            Assert.Equal(expected[row].Drawn < 0, found[row].Drawn < 0);
        }
    }

    /// <summary>A great many draws fall as the weights say, and only where there is weight.</summary>
    [Fact]
    public void Draws_by_weight()
    {
        Assert.SkipUnless(Card.IsThere, Card.WhyNot);
        using CudaBackend card = CudaBackend.Open();
        const int Vocabulary = 20_000;
        float[] logits = new float[Vocabulary];
        Array.Fill(logits, float.NegativeInfinity);
        int[] ids = [3, 8191, 8192, 16_400, 19_999];
        foreach (int id in ids)
            logits[id] = MathF.Log(1 + Array.IndexOf(ids, id));
        Activation rows = card.Allocate(1, Vocabulary, isPrecise: true);
        card.Write(logits, rows, 0);
        LogitShortlists lists = new(1);
        for (int i = 0; i < 300; i++)
        {
            double uniform = (i + 0.5) / 300;
            lists.Clear();
            lists.Ask(1, uniform);
            Find(card, rows, lists);
            int index = 0;
            for (double sum = 1; sum <= uniform * 15; sum += index + 1)
                index++;
            Assert.Equal(ids[index], lists[0].Drawn);
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void What_cannot_be_used_says_so(float strange)
    {
        Assert.SkipUnless(Card.IsThere, Card.WhyNot);
        using CudaBackend card = CudaBackend.Open();
        float[] logits = new float[30_000];
        logits[29_999] = strange;
        for (int i = 0; i < 20_000; i++)
            logits[i] = i % 997;
        Activation rows = card.Allocate(2, logits.Length, isPrecise: true);
        card.Write(logits, rows, 0);
        card.Write(new float[logits.Length], rows, 1); // all equal: too many to keep in order
        LogitShortlists lists = new(2);
        lists.Ask(0, -1);
        lists.Ask(0, -1);
        Find(card, rows, lists);
        Assert.False(lists[0].IsUsable);
        Assert.False(lists[1].IsUsable);
    }

    // As a step's last operation, its other operations left out.
    private static void Find(CudaBackend card, Activation rows, LogitShortlists lists)
    {
        StepBatch batch = new(lists.Count) { Shortlists = lists };
        for (int i = 0; i < lists.Count; i++)
            batch.AddPadding();
        card.BeginStep(batch);
        card.Shortlist(batch, rows);
        Assert.True(card.TryReadShortlists(lists));
    }

    // Continuous, coarse with ties, and with tokens that cannot be.
    private static float[] RandomLogits(Random random, int vocabulary, int kind)
    {
        float[] logits = new float[vocabulary];
        for (int i = 0; i < vocabulary; i++)
        {
            float x = (float)(random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5) * 12;
            logits[i] = kind switch { 2 => MathF.Round(x * 8) / 8, 3 when i % 3 == 0 => float.NegativeInfinity, _ => x };
        }

        return logits;
    }
}
