namespace Sluice.Memory.Tests;

public sealed unsafe class PrefaultTests
{
    [Fact]
    public void Makes_memory_resident_ahead_of_use_and_no_further()
    {
        const long Bytes = 256L << 20;
        const long Ahead = 32L << 20;
        using Arena arena = new("prefault test");
        byte* start = arena.Allocate(Bytes);
        start[5] = 7;
        using Prefault prefault = new(start, Bytes, Ahead);
        Assert.Equal(0, prefault.ResidentBytes);
        prefault.Reached(1 << 20);
        Settle(prefault, Ahead + (1 << 20));
        Assert.Equal(7, start[5]);

        // Nothing happens until a quarter of it is used up; then all of it is ready again.
        long before = prefault.ResidentBytes;
        Assert.SkipWhen(before == Bytes, "the system does not make memory ready when asked (Linux before 5.14)");
        Assert.Equal(OperatingSystem.IsLinux() ? Ahead + (1 << 20) : 0, before);
        prefault.Reached(1 << 20);
        prefault.Reached((1 << 20) + (Ahead / 4));
        Thread.Sleep(50);
        Assert.Equal(before, prefault.ResidentBytes);
        long next = (1 << 20) + (Ahead / 4) + 4096;
        prefault.Reached(next);
        Settle(prefault, Ahead + next);
        Assert.Equal(OperatingSystem.IsLinux() ? Ahead + next : 0, prefault.ResidentBytes);

        prefault.Reached(Bytes);
        Settle(prefault, Bytes);
        Assert.Equal(Bytes, prefault.ResidentBytes);
    }

    [Fact]
    public void Stops_before_its_memory_goes()
    {
        for (int i = 0; i < 20; i++)
        {
            using Arena arena = new("prefault test");
            using Prefault prefault = new(arena.Allocate(64L << 20), 64L << 20, 64L << 20);
            prefault.Reached(1);
        }
    }

    [Fact]
    public void Begins_after_its_pause_and_never_once_disposed()
    {
        const long Bytes = 64L << 20;
        using Arena arena = new("prefault test");
        byte* start = arena.Allocate(Bytes);
        using (Prefault prefault = new(start, Bytes, Bytes, TimeSpan.FromMinutes(5)))
        {
            prefault.Reached(1);
            prefault.Reached(Bytes);
            Thread.Sleep(50);
            Assert.Equal(0, prefault.ResidentBytes);
        }

        using Prefault soon = new(start, Bytes, Bytes, TimeSpan.FromMilliseconds(50));
        soon.Reached(1);
        Settle(soon, Bytes);
        Assert.Equal(Bytes, soon.ResidentBytes);
    }

    private static void Settle(Prefault prefault, long bytes)
    {
        for (int i = 0; i < 2000 && prefault.ResidentBytes < bytes && OperatingSystem.IsLinux(); i++)
            Thread.Sleep(5);
    }
}
