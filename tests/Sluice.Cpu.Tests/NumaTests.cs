using System.Globalization;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Memory;
using Sluice.Memory;
using Sluice.Tests.Operations;

namespace Sluice.Cpu.Tests;

/// <summary>A machine that is said to have several nodes of memory: what the backend asks for, read back from the system.</summary>
public sealed unsafe class NumaTests
{
    private static readonly CacheShape Shape = new(1, 2, 32, 0, null);

    [Fact]
    public void Weights_and_caches_are_interleaved_over_several_nodes()
    {
        CpuOptions options = Several();
        _ = options.ResolveInterleaving(out string note);
        Assert.SkipUnless(note == ", memory interleaved over 2 nodes", $"not allowed here{note}");
        string[] expected = [.. Enumerable.Repeat(string.Create(CultureInfo.InvariantCulture, $"interleave:{FirstNode().Id}"), 4)];
        Assert.Equal(expected, PoliciesOf(options, out string name));
        Assert.EndsWith("2 threads, memory interleaved over 2 nodes)", name, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_happens_where_it_is_off_and_with_one_node()
    {
        foreach (CpuOptions options in (CpuOptions[])[Several() with { Numa = NumaPlacement.Off }, Several() with { NodesInstead = [Several().NodesInstead![0]] }, Several(secondHasMemory: false)])
        {
            Assert.DoesNotContain(PoliciesOf(options, out string name), policy => policy.StartsWith("interleave", StringComparison.Ordinal));
            Assert.EndsWith("2 threads)", name, StringComparison.Ordinal);
            Assert.Null(options.ResolveInterleaving(out string note));
            Assert.Empty(note);
        }
    }

    /// <summary>As in a container that forbids it: the name, which every command prints at start, says why, and everything works.</summary>
    [Fact]
    public void A_refusal_is_said_in_the_backends_name()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux is asked");
        CpuOptions options = Several() with { NodesInstead = [new(1022, [0], true), new(1023, [1], true)] };
        Assert.DoesNotContain(PoliciesOf(options, out string name), policy => policy.StartsWith("interleave", StringComparison.Ordinal));
        Assert.Matches(@"2 threads, memory not interleaved over 2 nodes: \S.*\)$", name);
    }

    [Fact]
    public void Bound_threads_are_shared_out_over_the_nodes()
    {
        int[] cores = ThreadAffinity.AllowedCores();
        Assert.SkipUnless(cores.Length >= 2, "there is no choice");
        NumaNode[] nodes = [new(0, cores[1..], true), new(1, cores[..1], true)];
        CpuOptions options = new() { Pin = ThreadPinning.Auto, NodesInstead = nodes };
        IReadOnlyList<int>[] all = options.ResolveProcessors(cores.Length)!;
        Assert.Equal(cores, all.Select(Assert.Single).Order());
        Assert.Contains(cores[0], all[..2].Select(Assert.Single));
        Assert.Null((options with { Pin = ThreadPinning.Off }).ResolveProcessors(cores.Length));
        if (cores.Length > 2)
        {
            Assert.Equal(2, options.ResolveProcessors(2)!.Distinct().Count());
            Assert.Null((options with { Numa = NumaPlacement.Off }).ResolveProcessors(2));
        }
    }

    /// <summary>This machine's first node and one that it does not have, of which the system takes the former.</summary>
    private static CpuOptions Several(bool secondHasMemory = true)
    {
        int missing = Enumerable.Range(0, 1024).First(id => !Directory.Exists(string.Create(CultureInfo.InvariantCulture, $"/sys/devices/system/node/node{id}")));
        return new CpuOptions { Threads = 2, NodesInstead = [FirstNode(), new NumaNode(missing, [8191], secondHasMemory)] };
    }

    private static NumaNode FirstNode()
    {
        NumaNode? first = NumaTopology.Allowed().FirstOrDefault(node => node.HasMemory);
        Assert.SkipUnless(first is not null, "nothing is told here");
        return first;
    }

    /// <summary>The policies of a matrix, experts, an activation, and KV pages.</summary>
    private static string[] PoliciesOf(CpuOptions options, out string name)
    {
        Random random = new(1);
        using CpuBackend backend = new(options);
        name = backend.Name;
        var matrix = (CpuMatrix)backend.LoadMatrix(MatrixUse.Linear, new RandomMatrix(random, DType.BF16, 64, 64));
        var experts = (CpuExperts)backend.LoadExperts([new ExpertSource(
            new RandomMatrix(random, DType.BF16, 32, 64), new RandomMatrix(random, DType.BF16, 32, 64), new RandomMatrix(random, DType.BF16, 64, 32))]);
        var activation = (CpuActivation)backend.Allocate(2, 64);
        using var arena = (CpuCacheArena)backend.CreateArena(Shape, 2);
        return [.. ((nint[])[(nint)matrix.Parts[0].Data, (nint)experts.All[0].Down.Data, (nint)activation.Data, (nint)arena.Page(0)]).Select(PolicyAt)];
    }

    /// <summary>The policy of the mapping that holds an address, as a line of <c>numa_maps</c> begins: <c>7f0000000000 interleave:0-1</c>.</summary>
    private static string PolicyAt(nint address) => File.ReadLines("/proc/self/numa_maps")
        .Last(line => Convert.ToUInt64(line[..line.IndexOf(' ')], 16) <= (ulong)address).Split(' ')[1];
}
