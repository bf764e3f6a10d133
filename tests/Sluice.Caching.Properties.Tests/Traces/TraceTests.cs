using System.Globalization;
using Sluice.Caching.Tree;

namespace Sluice.Caching.Properties.Tests.Traces;

/// <summary>Hit rates of cache, planner and eviction alone, without an engine, on generated traffic in the geometry of the 80B.</summary>
public sealed class TraceTests(ITestOutputHelper output)
{
    private const long Ample = 4L << 40;

    public static TheoryData<string> Names => new(Make(1).Select(x => x.Name));

    [Theory]
    [MemberData(nameof(Names))]
    public void Traces(string name)
    {
        var trace = Make(1).Single(x => x.Name == name).Trace;
        TraceResult ample = TraceRunner.Run(trace, Ample);
        output.WriteLine($"{name}: ample {ample.OfIdeal:P1} peak {ample.PeakBytes >> 20} worst {ample.WorstExcess}");
        long fifth = Math.Max(ample.PeakBytes / 5, 2L << 30);
        output.WriteLine($"   plain LRU: {TraceRunner.Run(trace, fifth, plain: true).OfIdeal:P1}");
        foreach (double half in new double[] { 1, 16, 64, 128, 256, 512, 1024, 4096 })
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"   half life {half}: {TraceRunner.Run(trace, fifth, policy: new EvictionPolicy { HalfLife = half }).OfIdeal:P1}"));
    }

    private static IEnumerable<(string Name, List<TraceRequest> Trace)> Make(ulong seed)
    {
        yield return ("shared system", new TraceMaker(seed).SharedSystem(200, 2000));
        yield return ("chats", new TraceMaker(seed).Chats(30, 6, 500, 0));
        yield return ("chats, thinking stripped", new TraceMaker(seed).Chats(30, 6, 500, 600));
        yield return ("agents", new TraceMaker(seed).Agents(12, 15, 3000));
        yield return ("documents", new TraceMaker(seed).Documents(5, 20_000, 20));
        yield return ("identical", new TraceMaker(seed).Identical(10, 5, 1500));
        yield return ("lengths", new TraceMaker(seed).EveryLengthTwice(2100, 7));
        yield return ("edits", new TraceMaker(seed).Edits(4096, 100, 700, 2048));
        yield return ("alternating", new TraceMaker(seed).Chats(2, 12, 300, 0));
    }
}
