using System.Diagnostics;
using System.Globalization;
using Sluice.Caching.Memory;
using Sluice.Caching.Sequences;
using Sluice.Caching.Tree;
using Sluice.Core;

namespace Sluice.Caching.Tests;

/// <summary>
/// A tree of 100,000 nodes: shared system prompts, conversations of several turns. The times are printed; what is asserted is that
/// no operation grows with the size of the tree.
/// </summary>
public sealed class ScaleTests(ITestOutputHelper output)
{
    private const int Nodes = 100_000;
    private const int Systems = 20;
    private const int SystemTokens = 600;
    private const int TurnTokens = 40;
    private const int Turns = 4;

    [Fact]
    public void Operations_do_not_slow_down_with_the_size_of_the_tree()
    {
        // Pages of 32 KiB and states of 256 KiB: the arena is numbers only, so its size costs nothing.
        var geometry = new MemoryGeometry(2, 16 << 10, 6, 43_000, 264 << 10);
        var cache = new PrefixCache(geometry, 400L << 30, new PrefixCacheOptions { Checks = new MemoryChecks { Ledger = false, Poison = false } });
        double small = 0;
        int conversation = 0;
        var watch = new Stopwatch();
        int measuredFrom = 0;
        while (cache.Tree.Nodes < Nodes)
        {
            if (cache.Tree.Nodes >= Nodes / 10 && small == 0)
            {
                small = Probe(cache, 1000);
                watch.Restart();
                measuredFrom = conversation;
            }

            Converse(cache, conversation++, Turns);
        }

        double turn = watch.Elapsed.TotalMicroseconds / ((conversation - measuredFrom) * Turns);
        double large = Probe(cache, 1000);
        int checkpoints = cache.Tree.Checkpoints;
        cache.CheckIntegrity();
        watch.Restart();
        while (cache.Tree.Checkpoints > 1000)
            Assert.True(cache.Tree.TryEvict());
        double evict = watch.Elapsed.TotalMicroseconds / (checkpoints - 1000);
        cache.CheckIntegrity();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{Nodes:N0} nodes, {checkpoints:N0} checkpoints: match and release {large:F2} us ({small:F2} at a tenth), a turn (match, admit, publish, finish) {turn:F2} us, eviction {evict:F2} us"));
        Assert.True(large < (10 * small) + 50, $"a match takes {large} us in the large tree, {small} in one of a tenth");
        Assert.True(evict < 1000, $"an eviction takes {evict} us");
    }

    private static void Converse(PrefixCache cache, int conversation, int turns)
    {
        int[] tokens = Tokens(conversation, turns);
        for (int turn = 1; turn <= turns; turn++)
        {
            ReadOnlySpan<int> text = tokens.AsSpan(0, SystemTokens + (turn * TurnTokens));
            PrefixLease lease = cache.Match("", text);
            Assert.True(cache.TryAdmit(lease, text.Length, out SequenceMemory? sequence));
            if (lease.Position < SystemTokens)
                Assert.True(cache.TryReserve(sequence!, new(SystemTokens, CheckpointReason.SystemEnd)) >= 0);
            cache.Advance(sequence!, text.Length - lease.Position);
            cache.Publish(sequence!, text);
            cache.Finish(sequence!, text);
            cache.Memory.Work.Clear();
        }
    }

    private static int[] Tokens(int conversation, int turns)
    {
        int[] tokens = new int[SystemTokens + (turns * TurnTokens)];
        for (int i = 0; i < tokens.Length; i++)
            tokens[i] = i < SystemTokens ? (conversation % Systems * 1000) + i : ((conversation * 7919) + (i * 104_729)) & 0xFFFF;
        return tokens;
    }

    /// <summary>Microseconds of a match of a known conversation, with its release: the best of several rounds, since others use the machine too.</summary>
    private static double Probe(PrefixCache cache, int times)
    {
        int[][] texts = [.. Enumerable.Range(0, 200).Select(x => Tokens(x, Turns))];
        double best = double.MaxValue;
        for (int round = 0; round < 10; round++)
        {
            var watch = Stopwatch.StartNew();
            for (int i = 0; i < times; i++)
                cache.Release(cache.Match("", texts[i % texts.Length]));
            best = Math.Min(best, watch.Elapsed.TotalMicroseconds / times);
        }

        return best;
    }
}
