using System.Globalization;

namespace Sluice.Caching.Tests.Traces;

/// <summary>
/// Tokens reused, against the ideal, by cache, planner and eviction alone: generated traffic, the geometry of the 80B, no engine.
/// Prints the table of docs/prefix-cache.md.
/// </summary>
public sealed class TraceTests(ITestOutputHelper output)
{
    private const long Ample = 4L << 40;
    private const long Least = 2L << 30;
    private const ulong Seed = 1;

    [Fact]
    public void Traffic_is_reused_with_ample_memory_and_with_little()
    {
        output.WriteLine("| traffic | requests | all memory it wants | ample | a fifth | a tenth | a twentieth | LRU: a fifth | a tenth | a twentieth |");
        output.WriteLine("|---|---|---|---|---|---|---|---|---|---|");
        foreach ((string name, List<TraceRequest> trace, int excess) in All())
        {
            TraceResult ample = TraceRunner.Run(trace, Ample);
            double[] ours = new double[3], plain = new double[3];
            for (int i = 0; i < 3; i++)
            {
                long bytes = Math.Max(ample.PeakBytes / (5 << i), Least);
                ours[i] = TraceRunner.Run(trace, bytes).OfIdeal;
                plain[i] = TraceRunner.Run(trace, bytes, plain: true).OfIdeal;
            }

            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {name} | {trace.Count} | {ample.PeakBytes / (double)(1L << 30):F1} GiB | {Of(ample.OfIdeal)} | {Of(ours[0])} | {Of(ours[1])} | {Of(ours[2])} | {Of(plain[0])} | {Of(plain[1])} | {Of(plain[2])} |"));
            Assert.True(ample.WorstExcess <= excess, $"{name}: a request computed {ample.WorstExcess} tokens more than it had to, at most {excess} may be");
            Assert.True(excess > 100 || ample.OfIdeal >= 0.99, $"{name}: {ample.OfIdeal:P1} of the ideal with ample memory");
            for (int i = 0; i < 3; i++)
            {
                double wanted = plain[i] > 0.95 ? plain[i] - 0.1 : Math.Min(1.5 * plain[i], plain[i] + (0.2 * (1 - plain[i])));
                Assert.True(ours[i] >= wanted - 1e-9, $"{name}: {ours[i]:P1} of the ideal in 1/{5 << i} of the memory, least recently used {plain[i]:P1}");
            }
        }
    }

    /// <summary>Traffic, and the most tokens a request may compute beyond the ideal with ample memory.</summary>
    private static IEnumerable<(string Name, List<TraceRequest> Trace, int Excess)> All()
    {
        yield return ("one system prompt, many users", new TraceMaker(Seed).SharedSystem(200, 2000), 8);
        yield return ("chats", new TraceMaker(Seed).Chats(60, 6, 500, 0), 8);
        yield return ("chats, thinking stripped", new TraceMaker(Seed).Chats(60, 6, 500, 600), 8);
        yield return ("agents with tools", new TraceMaker(Seed).Agents(25, 15, 3000), 8);
        yield return ("20 questions on a document", new TraceMaker(Seed).Documents(5, 20_000, 20), 8);
        yield return ("ten documents at once", TraceMaker.Mix(Seed, [.. Enumerable.Range(0, 10).Select(x => new TraceMaker(Seed, x).Documents(1, 20_000, 10))]), 8);
        yield return ("all of these", TraceMaker.Mix(
            Seed,
            new TraceMaker(Seed, 1).Chats(40, 6, 500, 600),
            new TraceMaker(Seed, 2).Agents(10, 15, 3000),
            new TraceMaker(Seed, 3).SharedSystem(100, 2000),
            new TraceMaker(Seed, 4).Documents(4, 20_000, 10)), 8);
        yield return ("identical prompts, 40 in turn", new TraceMaker(Seed).Identical(40, 5, 1500), 8);
        yield return ("every length from 1 to 2,100, twice", new TraceMaker(Seed).EveryLengthTwice(2100, 1), 8);
        yield return ("edits 100, 700, 2048 before the end", new TraceMaker(Seed).Edits(4096, 100, 700, 2048), 512);
        yield return ("two conversations alternating", new TraceMaker(Seed).Chats(2, 12, 300, 0), 8);
    }

    private static string Of(double part) => (part * 100).ToString("F1", CultureInfo.InvariantCulture) + " %";
}
