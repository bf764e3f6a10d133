using Sluice.Testing;

namespace Sluice.Memory.Tests;

/// <summary>Made-up machines, odd ones among them: what is told is taken, what cannot be understood is left out, and nothing ends the program.</summary>
public sealed class NumaTopologyTests
{
    private static readonly int[] Eight = [0, 1, 2, 3, 4, 5, 6, 7];

    [Fact]
    public void Two_nodes() =>
        Assert.Equal(
            ["0: 0 1 4 5, memory", "1: 2 3 6 7, memory"],
            Read(Eight, "Name:\tx\nMems_allowed_list:\t0-1\n", ("has_memory", "0-1\n"), ("node0/cpulist", "0-1,4-5\n"), ("node1/cpulist", "2-3,6-7\n")));

    /// <summary>Numbers have gaps and are not sorted as texts; other things in the folder are no nodes.</summary>
    [Fact]
    public void Numbers_with_gaps() =>
        Assert.Equal(
            ["2: 0, memory", "10: 1, memory", "1023: 2, memory"],
            Read(
                Eight, "", ("has_memory", "2,10,1023"), ("node10/cpulist", "1"), ("node2/cpulist", "0"), ("node1023/cpulist", "2"), ("node1024/cpulist", "3"), ("node/cpulist", "4"),
                ("node-1/cpulist", "5"), ("nodes/cpulist", "6"), ("node02x/cpulist", "7"), ("node99999999999999999999/cpulist", "7"), ("possible", "0-1023")));

    [Fact]
    public void Processors_and_memory_that_the_process_may_not_use_do_not_count()
    {
        (string, string)[] files = [("has_memory", "0-2"), ("node0/cpulist", "0-3"), ("node1/cpulist", "4-7"), ("node2/cpulist", "8-11")];
        Assert.Equal(["0: 3, memory", "1: 4 5, memory"], Read([3, 4, 5], "Mems_allowed_list:\t0-2", files));
        Assert.Equal(["0: 3, none", "1: 4 5, memory"], Read([3, 4, 5], "Mems_allowed:\t3\nMems_allowed_list:\t1-2", files));
        Assert.Equal([], Read([12], "Mems_allowed_list:\t0-2", files));
    }

    /// <summary>A node without memory has processors to compute on; one without processors, or all of whose processors are off, has nobody near it.</summary>
    [Fact]
    public void Nodes_without_memory_and_nodes_without_processors() =>
        Assert.Equal(
            ["0: 0 1, memory", "1: 2 3, none"],
            Read(Eight, "Mems_allowed_list:\t0,2-3", ("has_memory", "0,2-3"), ("node0/cpulist", "0-1"), ("node1/cpulist", "2-3"), ("node2/cpulist", "\n"), ("node3/cpulist", "8-9")));

    [Theory]
    [InlineData("garbage")]
    [InlineData("0-")]
    [InlineData("-1")]
    [InlineData("3-1")]
    [InlineData("0,,1")]
    [InlineData("0 1")]
    [InlineData("0-7:2/4")]
    [InlineData("0-2147483647")]
    [InlineData("99999999999")]
    public void A_list_of_processors_that_is_none_leaves_out_its_node(string list) =>
        Assert.Equal(["1: 2, memory"], Read(Eight, "Mems_allowed_list:\t0-1", ("has_memory", "0-1"), ("node0/cpulist", list), ("node1/cpulist", "2")));

    [Fact]
    public void What_is_missing_or_garbage_elsewhere_counts_as_not_told()
    {
        Assert.Equal(["0: 0, memory", "1: 1, memory"], Read(Eight, "Mems_allowed_list:\tx", ("has_memory", "?"), ("node0/cpulist", "0"), ("node1/cpulist", "1"), ("node2/meminfo", "")));
        Assert.Equal(["0: 0, memory"], Read(Eight, "", ("node0/cpulist", "0")));
        Assert.Equal([], Read(Eight, "Mems_allowed_list:\t0"));
        Assert.Empty(NumaTopology.Read("/no/such/folder", Eight, ""));
    }

    [Fact]
    public void This_machine_has_a_node_for_each_processor_or_does_not_tell()
    {
        IReadOnlyList<NumaNode> nodes = NumaTopology.Allowed();
        if (nodes.Count == 0)
            Assert.Skip("nothing is told here");
        Assert.Equal(ThreadAffinity.Allowed(), nodes.SelectMany(node => node.Processors).Order());
        Assert.Contains(nodes, node => node.HasMemory);
    }

    private static string[] Read(int[] processors, string status, params (string Name, string Text)[] files)
    {
        using TemporaryFolder folder = new();
        foreach ((string name, string text) in files)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(folder.At(name))!);
            File.WriteAllText(folder.At(name), text);
        }

        return [.. NumaTopology.Read(folder.Path, processors, status).Select(node => $"{node.Id}: {string.Join(' ', node.Processors)}, {(node.HasMemory ? "memory" : "none")}")];
    }
}
