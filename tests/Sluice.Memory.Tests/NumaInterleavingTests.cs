using System.Globalization;
using System.Runtime.InteropServices;

namespace Sluice.Memory.Tests;

/// <summary>What the system was asked for is what it says of the memory afterwards.</summary>
public sealed unsafe partial class NumaInterleavingTests
{
    // More than any kernel here has.
    private static readonly NumaNode Missing = new(NumaInterleaving.MostNodes - 1, [], HasMemory: true);

    [Fact]
    public void An_arenas_memory_is_interleaved_over_the_nodes_that_there_are()
    {
        NumaNode[] nodes = WithMemory();
        var interleaving = NumaInterleaving.TryCreate(nodes, out string? refusal);
        Assert.SkipUnless(interleaving is not null, $"not allowed here: {refusal}");
        Assert.Null(refusal);
        using Arena arena = new("interleaved", interleaving: interleaving);
        using Arena other = new("other");

        // A piece of a block, one of its own block, and the last byte of it.
        byte*[] pieces = [arena.Allocate(100), arena.Allocate(200L << 20), arena.Allocate(1)];
        int[] ids = [.. nodes.Select(node => node.Id)];
        string expected = $"{Posix.MemoryInterleave}: {string.Join(' ', ids)}";
        Assert.Equal(expected, PolicyOf(pieces[0]));
        Assert.Equal(expected, PolicyOf(pieces[1]));
        Assert.Equal(expected, PolicyOf(pieces[1] + (200L << 20) - 1));
        Assert.Equal(expected, PolicyOf(pieces[2]));
        Assert.Equal($"{Posix.MemoryDefault}: ", PolicyOf(other.Allocate(100)));

        // Zeroed and writable as ever.
        Span<byte> memory = new(pieces[1], 64 << 20);
        Assert.Equal(-1, memory.IndexOfAnyExcept((byte)0));
        memory.Fill(1);

        // Pages have come to lie on these nodes, but a full one is passed over.
        Assert.Subset(ids.ToHashSet(), PagesAt(pieces[1]).Keys.ToHashSet());
    }

    /// <summary>What a kernel or a container refuses is said, and memory is had all the same.</summary>
    [Fact]
    public void A_refusal_is_a_reason_and_no_error()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux is asked");
        Assert.Null(NumaInterleaving.TryCreate([Missing], out string? refusal));
        Assert.False(string.IsNullOrWhiteSpace(refusal));
    }

    /// <summary>As under <c>numactl --preferred=N</c>, whose policy all threads inherit.</summary>
    [Fact]
    public void A_policy_that_the_process_has_is_kept()
    {
        NumaNode[] nodes = WithMemory();
        NumaInterleaving? found = null;
        string? refusal = null;
        bool isSet = false;
        Thread thread = new(() =>
        {
            const int Preferred = 1;
            ulong mask = 1UL << nodes[0].Id;
            isSet = SystemCall(RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 237 : 238, Preferred, (nint)(&mask), 64) == 0;
            found = NumaInterleaving.TryCreate(nodes, out refusal);
        });
        thread.Start();
        thread.Join();
        Assert.SkipUnless(isSet, "not allowed here");
        Assert.Null(found);
        Assert.Equal("the process has a memory policy of its own", refusal);
    }

    [Fact]
    public void A_number_that_no_node_can_have_is_a_mistake() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => NumaInterleaving.TryCreate([new NumaNode(NumaInterleaving.MostNodes, [], true)], out _));

    /// <summary>How many pages of each node the mapping has that holds an address: its line is <c>7f0000000000 interleave:0-1 anon=2 dirty=2 N0=1 N1=1</c>.</summary>
    private static Dictionary<int, long> PagesAt(void* address)
    {
        string line = File.ReadLines("/proc/self/numa_maps").Last(line => Convert.ToUInt64(line[..line.IndexOf(' ')], 16) <= (ulong)address);
        return line.Split(' ').Where(word => word is ['N', >= '0' and <= '9', ..]).Select(word => word[1..].Split('='))
            .ToDictionary(pair => int.Parse(pair[0], CultureInfo.InvariantCulture), pair => long.Parse(pair[1], CultureInfo.InvariantCulture));
    }

    private static NumaNode[] WithMemory()
    {
        NumaNode[] nodes = [.. NumaTopology.Allowed().Where(node => node.HasMemory)];
        Assert.SkipUnless(nodes.Length > 0, "nothing is told here");
        return nodes;
    }

    private static string PolicyOf(void* address)
    {
        ulong[] mask = new ulong[NumaInterleaving.MostNodes / 64];
        int mode = -1;
        fixed (ulong* words = mask)
            Assert.Equal(0, Posix.GetMemoryPolicy(&mode, words, NumaInterleaving.MostNodes, address, Posix.MemoryOfAddress));
        return $"{mode}: {string.Join(' ', Enumerable.Range(0, NumaInterleaving.MostNodes).Where(node => (mask[node / 64] >> (node % 64) & 1) != 0))}";
    }

    /// <summary>For set_mempolicy.</summary>
    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint SystemCall(nint number, nint mode, nint nodes, nint bits);
}
