using Sluice.Cpu.Threading;
using Sluice.Memory;

namespace Sluice.Cpu.Tests.Threading;

/// <summary>No node gets more threads than its share, and no thread a processor that is not there.</summary>
public sealed class ThreadPlacementTests
{
    // Two nodes of four cores, two processors each; cores are named by their first.
    private static readonly NumaNode[] Two = [new(0, [0, 1, 2, 3, 8, 9, 10, 11], true), new(1, [4, 5, 6, 7, 12, 13, 14, 15], true)];
    private static readonly int[] Cores = [0, 1, 2, 3, 4, 5, 6, 7];

    [Fact]
    public void Every_core_has_a_thread_and_nodes_alternate()
    {
        Assert.Equal("0 | 4 | 1 | 5 | 2 | 6 | 3 | 7", Choose(8, Cores, Two));
        Assert.Equal("0 | 1 | 2 | 3 | 4 | 5 | 6 | 7", Choose(8, Cores));
    }

    [Fact]
    public void Fewer_threads_than_cores_are_shared_out_over_the_nodes()
    {
        Assert.Equal("0 1 2 3 8 9 10 11 | 4 5 6 7 12 13 14 15 | 0 1 2 3 8 9 10 11", Choose(3, Cores, Two));
        Assert.Equal("none", Choose(3, Cores, Two[0]));
        Assert.Equal("none", Choose(3, Cores));
    }

    /// <summary>A mask that leaves a node one core, and three nodes of different sizes.</summary>
    [Fact]
    public void A_node_has_no_more_threads_than_cores()
    {
        Assert.Equal("3 | 4 5 6 | 4 5 6", Choose(3, [3, 4, 5, 6], new(0, [3], true), new(7, [4, 5, 6], true)));
        Assert.Equal("3 | 4 | 5 | 6", Choose(4, [3, 4, 5, 6], new(0, [3], true), new(7, [4, 5, 6], true)));
        NumaNode[] three = [new(0, [0, 1, 2, 3], true), new(1, [4, 5, 6], true), new(2, [7], false)];
        for (int threads = 2; threads < 8; threads++)
        {
            IReadOnlyList<int>[] chosen = ThreadPlacement.Choose(threads, Cores, three)!;
            Assert.Equal(threads, chosen.Length);
            int[] perNode = [.. three.Select(node => chosen.Count(processors => processors == node.Processors))];
            Assert.Equal(threads, perNode.Sum());
            Assert.All(perNode.Zip(three), pair => Assert.InRange(pair.First, Math.Min(threads / 3, pair.Second.Processors.Count), pair.Second.Processors.Count));
        }
    }

    [Fact]
    public void What_cannot_be_shared_out_is_not_bound()
    {
        Assert.Equal("none", Choose(1, Cores, Two));
        Assert.Equal("none", Choose(9, Cores, Two));
        Assert.Equal("none", Choose(2, []));

        // A core that no node has.
        NumaNode[] garbage = [new(0, [0, 1, 2], true), new(1, [4, 5, 6, 7], true)];
        Assert.Equal("none", Choose(3, Cores, garbage));
        Assert.Equal("0 1 2 3 4 5 6 7", string.Join(' ', ThreadPlacement.Choose(8, Cores, garbage)!.Select(Assert.Single).Order()));
    }

    private static string Choose(int threads, int[] cores, params NumaNode[] nodes) =>
        ThreadPlacement.Choose(threads, cores, nodes) is { } chosen ? string.Join(" | ", chosen.Select(processors => string.Join(' ', processors))) : "none";
}
