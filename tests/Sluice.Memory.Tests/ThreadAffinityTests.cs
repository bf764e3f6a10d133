using System.Globalization;

namespace Sluice.Memory.Tests;

/// <summary>Threads are bound where the system allows it, and never to a processor that is withheld.</summary>
public sealed class ThreadAffinityTests
{
    [Fact]
    public void One_processor_of_each_core_is_taken()
    {
        string?[] siblings = ["0,4", "1,5", "2,6", null, "0,4", "1,5", "2,6", null];
        Assert.Equal([0, 1, 2, 3, 7], ThreadAffinity.CoresOf([0, 1, 2, 3, 4, 5, 6, 7], processor => siblings[processor]));

        // A mask that leaves the second of two siblings leaves a core.
        Assert.Equal([4, 5], ThreadAffinity.CoresOf([4, 5], processor => siblings[processor]));
        Assert.Equal([4], ThreadAffinity.CoresOf([4], processor => siblings[processor]));
    }

    [Fact]
    public void A_bound_thread_runs_on_its_processor_alone()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux is asked");
        int[] allowed = ThreadAffinity.Allowed();
        Assert.Equal(allowed, Processors(File.ReadAllText("/proc/self/status")));
        Assert.Empty(ThreadAffinity.AllowedCores().Except(allowed));
        string found = "";
        bool bound = false, isMain = true;
        Thread thread = new(() =>
        {
            isMain = ThreadAffinity.IsMainThread;
            bound = ThreadAffinity.TryBind(allowed[^1]);
            found = File.ReadAllText("/proc/thread-self/status");
        });
        thread.Start();
        thread.Join();
        Assert.True(bound);
        Assert.False(isMain);
        Assert.Equal([allowed[^1]], Processors(found));

        // Threads that come later have what the process has.
        Thread later = new(() => found = File.ReadAllText("/proc/thread-self/status"));
        later.Start();
        later.Join();
        Assert.Equal(allowed, Processors(found));
    }

    [Fact]
    public void A_processor_that_the_process_may_not_use_is_refused()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux is asked");
        int withheld = Enumerable.Range(0, 8192).Except(ThreadAffinity.Allowed()).First();
        Assert.False(ThreadAffinity.TryBind(withheld));
        Assert.False(ThreadAffinity.TryBind([ThreadAffinity.Allowed()[0], withheld]));
        Assert.False(ThreadAffinity.TryBind([]));
    }

    private static int[] Processors(string status)
    {
        string line = status.Split('\n').Single(l => l.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal));
        return [.. line.Split(':')[1].Trim().Split(',').SelectMany(range =>
        {
            int[] ends = [.. range.Split('-').Select(end => int.Parse(end, CultureInfo.InvariantCulture))];
            return Enumerable.Range(ends[0], ends[^1] - ends[0] + 1);
        })];
    }
}
