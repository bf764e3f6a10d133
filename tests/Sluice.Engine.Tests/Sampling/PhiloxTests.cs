using Sluice.Engine.Sampling;

namespace Sluice.Engine.Tests.Sampling;

public sealed class PhiloxTests
{
    // The known answers that come with Random123.
    [Theory]
    [InlineData(0UL, 0UL, 0UL, "6627e8d5e169c58dbc57ac4c9b00dbd8")]
    [InlineData(ulong.MaxValue, ulong.MaxValue, ulong.MaxValue, "408f276d41c83b0ea20bc7c66d5451fd")]
    [InlineData(0x299f31d0a4093822UL, 0x85a308d3243f6a88UL, 0x0370734413198a2eUL, "d16cfe0994fdcceb5001e42024126ea1")]
    public void Matches_known_answers(ulong key, ulong low, ulong high, string expected)
    {
        var (w0, w1, w2, w3) = Philox.Block(key, low, high);
        Assert.Equal(expected, $"{w0:x8}{w1:x8}{w2:x8}{w3:x8}");
    }

    [Fact]
    public void Uniform_numbers_are_in_range_and_spread()
    {
        var bins = new int[100];
        for (ulong i = 0; i < 100_000; i++)
        {
            double u = Philox.Uniform(i % 10, i);
            Assert.InRange(u, 0, 1 - 1e-17);
            bins[(int)(u * 100)]++;
        }

        double statistic = bins.Sum(n => (n - 1000.0) * (n - 1000.0) / 1000.0);
        Assert.InRange(statistic, 99 - (5 * Math.Sqrt(198)), 99 + (5 * Math.Sqrt(198)));
    }
}
