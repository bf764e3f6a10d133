using System.Globalization;
using Sluice.Core;

namespace Sluice.Memory.Tests;

public sealed unsafe class ArenaTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(1 << 20)]
    [InlineData(5 << 20)]
    public void Allocations_are_aligned_and_zeroed(long bytes)
    {
        using var arena = new Arena("test", blockBytes: 2 << 20);
        for (int i = 0; i < 5; i++)
        {
            byte* start = arena.Allocate(bytes);
            Assert.Equal(0u, (nuint)start % Arena.Alignment);
            for (long at = 0; at < bytes; at++)
                Assert.Equal(0, start[at]);
            new Span<byte>(start, (int)bytes).Fill(0xFF);
        }
    }

    [Fact]
    public void Small_requests_share_a_block_and_large_ones_have_their_own()
    {
        using var arena = new Arena("test", blockBytes: 4 << 20);
        byte* a = arena.Allocate(100);
        byte* b = arena.Allocate(100);
        Assert.Equal(128, b - a);
        Assert.Equal(0u, (nuint)a % (2 << 20));
        Assert.Equal(4 << 20, arena.ReservedBytes);

        byte* large = arena.Allocate((2 << 20) + 1);
        Assert.Equal(0u, (nuint)large % (2 << 20));
        Assert.Equal(8 << 20, arena.ReservedBytes);

        byte* c = arena.Allocate(1);
        Assert.Equal(128, c - b);
        Assert.Equal(128 + 128 + (2 << 20) + 64 + 64, arena.AllocatedBytes);
    }

    [Fact]
    public void Threads_never_share_an_allocation()
    {
        const int Threads = 8;
        const int Each = 2000;
        using var arena = new Arena("test", blockBytes: 2 << 20);
        var starts = new nint[Threads][];
        Parallel.For(0, Threads, new ParallelOptions { MaxDegreeOfParallelism = Threads }, thread =>
        {
            var random = new Random(thread);
            starts[thread] = new nint[Each];
            for (int i = 0; i < Each; i++)
            {
                int bytes = random.Next(8, 3000);
                byte* start = arena.Allocate(bytes);
                *(long*)start = ((long)thread * Each) + i;
                new Span<byte>(start + 8, bytes - 8).Fill((byte)thread);
                starts[thread][i] = (nint)start;
            }
        });

        Assert.Equal(Threads * Each, starts.SelectMany(each => each).Distinct().Count());
        for (int thread = 0; thread < Threads; thread++)
        {
            for (int i = 0; i < Each; i++)
                Assert.Equal(((long)thread * Each) + i, *(long*)starts[thread][i]);
        }
    }

    [Fact]
    public void Memory_that_is_not_there_is_a_typed_error()
    {
        using var arena = new Arena("weights");
        var error = Assert.Throws<BackendException>(() => arena.Allocate(1L << 45));
        Assert.Contains("cannot allocate 33554432 MiB for weights", error.Message, StringComparison.Ordinal);
        Assert.Throws<BackendException>(() => arena.Allocate(long.MaxValue));
        Assert.Throws<ArgumentOutOfRangeException>(() => arena.Allocate(-1));

        // A failure leaves the arena usable.
        Assert.True(arena.Allocate(100) != null);
    }

    [Fact]
    public void What_all_arenas_hold_counts_against_the_machine()
    {
        long total = SystemMemory.TotalBytes;
        using var arena = new Arena("greedy");
        var error = Assert.Throws<BackendException>(() =>
        {
            // Reserved only: nothing here is ever touched.
            for (int i = 0; i < 32; i++)
                arena.Allocate(total / 16);
        });
        Assert.StartsWith("cannot allocate", error.Message, StringComparison.Ordinal);
        Assert.True(arena.ReservedBytes <= total);
    }

    [Fact]
    public void Disposing_gives_everything_back_once()
    {
        string name = $"leak test {Guid.NewGuid()}";
        var arena = new Arena(name);
        arena.Allocate(10);
        ArenaInfo info = Assert.Single(Arena.Outstanding, outstanding => outstanding.Name == name);
        Assert.Equal(nameof(Disposing_gives_everything_back_once), info.Owner);
        Assert.Equal(64 << 20, info.ReservedBytes);

        arena.Dispose();
        arena.Dispose();
        Assert.DoesNotContain(Arena.Outstanding, outstanding => outstanding.Name == name);
        Assert.Throws<ObjectDisposedException>(() => arena.Allocate(1));
    }

    [Fact]
    public void Blocks_ask_for_huge_pages()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "huge pages are asked for on Linux only");
        using var arena = new Arena("test");
        string address = ((nint)arena.Allocate(1)).ToString("x");
        string[] maps = File.ReadAllLines("/proc/self/smaps");
        int at = Array.FindIndex(maps, line => line.StartsWith(address + "-", StringComparison.Ordinal));
        Assert.True(at >= 0, "the block has no mapping of its own");
        string flags = maps.Skip(at).First(line => line.StartsWith("VmFlags:", StringComparison.Ordinal));
        Assert.Contains(" hg", flags, StringComparison.Ordinal);
    }

    [Fact]
    public void Small_arenas_take_ordinary_pages()
    {
        using var arena = new Arena("test", blockBytes: 100_000);
        byte* start = arena.Allocate(100_000);
        Assert.Equal(0u, (nuint)start % (nuint)Environment.SystemPageSize);
        Assert.Equal((100_000 + Environment.SystemPageSize - 1) / Environment.SystemPageSize * Environment.SystemPageSize, arena.ReservedBytes);
        start[99_999] = 1;
        Assert.SkipUnless(OperatingSystem.IsLinux(), "huge pages are asked for on Linux only");
        string[] maps = File.ReadAllLines("/proc/self/smaps");
        int at = Array.FindIndex(maps, line => Holds(line, (nuint)start));
        Assert.True(at >= 0, "the block is not mapped");
        Assert.DoesNotContain(" hg", maps.Skip(at).First(line => line.StartsWith("VmFlags:", StringComparison.Ordinal)), StringComparison.Ordinal);

        // 7f0c1a000000-7f0c1a019000 rw-p ...
        static bool Holds(string line, nuint address)
        {
            int dash = line.IndexOf('-', StringComparison.Ordinal);
            int space = line.IndexOf(' ', StringComparison.Ordinal);
            return dash > 0 && space > dash
                && nuint.TryParse(line.AsSpan(0, dash), NumberStyles.HexNumber, null, out nuint first)
                && nuint.TryParse(line.AsSpan(dash + 1, space - dash - 1), NumberStyles.HexNumber, null, out nuint end)
                && first <= address && address < end;
        }
    }

    [Fact]
    public void Spans_have_the_length_asked_for()
    {
        using var arena = new Arena("test");
        Span<float> span = arena.AllocateSpan<float>(1000);
        Assert.Equal(1000, span.Length);
        Assert.Equal(4032, arena.AllocatedBytes);
        Assert.Throws<ArgumentOutOfRangeException>(() => arena.AllocateSpan<float>(-1).Length);
    }
}
