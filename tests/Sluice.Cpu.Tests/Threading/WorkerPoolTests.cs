using System.Globalization;
using Sluice.Cpu.Threading;
using Sluice.Memory;

namespace Sluice.Cpu.Tests.Threading;

/// <summary>Every item once, whatever the threads do.</summary>
public sealed class WorkerPoolTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(16)]
    public void Every_item_is_done_once_before_run_returns(int threads)
    {
        using WorkerPool pool = new(threads);
        Random random = new(threads);
        for (int run = 0; run < 300; run++)
        {
            Counting work = new(random.Next(0, 60), run % 3);
            pool.Run(work, work.Counts.Length);
            Assert.All(work.Counts, count => Assert.Equal(1, count));
            Assert.InRange(work.HighestThread, -1, threads - 1);

            // Long enough, now and then, for every worker to park.
            if (run % 50 == 0)
                Thread.Sleep(2);
        }
    }

    [Fact]
    public void Very_short_runs_in_quick_succession_do_not_mix()
    {
        using WorkerPool pool = new(4);
        for (int run = 0; run < 20_000; run++)
        {
            Counting work = new(3, 0);
            pool.Run(work, 3);
            Assert.Equal(3, work.Counts[0] + work.Counts[1] + work.Counts[2]);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void The_first_exception_reaches_the_caller_and_the_pool_goes_on(int threads)
    {
        using WorkerPool pool = new(threads);
        for (int run = 0; run < 50; run++)
        {
            InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => pool.Run(new Failing(run % 10), 10));
            Assert.Equal("item", error.Message);
            Counting work = new(20, 1);
            pool.Run(work, 20);
            Assert.All(work.Counts, count => Assert.Equal(1, count));
        }
    }

    /// <summary>A caller that is a thread of its own is bound too; one of the runtime's pool, which others will get, is left alone.</summary>
    [Fact]
    public async Task Bound_threads_stay_on_their_processors()
    {
        int[] cores = ThreadAffinity.AllowedCores();
        Assert.SkipUnless(cores.Length >= 2, "there is no choice");
        using WorkerPool pool = new(2, [[cores[0]], [cores[1]]]);
        Assert.True(pool.IsBound);
        Where own = new(), shared = new();
        Thread caller = new(() => Fill(own));
        caller.Start();
        caller.Join();
        await Task.Run(() => Fill(shared), TestContext.Current.CancellationToken);
        Assert.Equal([cores[0].ToString(CultureInfo.InvariantCulture), cores[1].ToString(CultureInfo.InvariantCulture)], own.Lists);
        Assert.NotEqual(own.Lists[0], shared.Lists[0]);
        Assert.Equal(own.Lists[1], shared.Lists[1]);

        void Fill(Where where)
        {
            pool.BindCaller();
            while (where.Lists.Any(list => list.Length == 0))
                pool.Run(where, 20);
        }
    }

    [Fact]
    public void Only_a_thread_for_every_core_is_bound_and_only_if_asked()
    {
        int cores = ThreadAffinity.AllowedCores().Length;
        Assert.Null(new CpuOptions().ResolveProcessors(cores));
        CpuOptions pinned = new() { Pin = ThreadPinning.Auto };
        Assert.Null(pinned.ResolveProcessors(cores + 1));
        Assert.Null(pinned.ResolveProcessors(1));
        if (cores > 1)
            Assert.Equal(ThreadAffinity.AllowedCores().Order(), (pinned with { Numa = NumaPlacement.Off }).ResolveProcessors(cores)!.Select(Assert.Single));
        using WorkerPool pool = new(3, [[0], [1]]);
        Assert.False(pool.IsBound);
    }

    [Fact]
    public void Disposing_ends_the_threads_and_may_be_repeated()
    {
        WorkerPool pool = new(8);
        Counting work = new(100, 1);
        pool.Run(work, 100);
        pool.Dispose();
        pool.Dispose();
        Assert.All(work.Counts, count => Assert.Equal(1, count));
    }

    [Fact]
    public void Running_allocates_nothing()
    {
        using WorkerPool pool = new(2);
        Counting work = new(64, 0);
        pool.Run(work, 64);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int run = 0; run < 100; run++)
            pool.Run(work, 64);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    /// <summary>Neither does the first wait for a worker that is late, by when the caller sleeps.</summary>
    [Fact]
    public void Waiting_for_a_worker_allocates_nothing()
    {
        using WorkerPool pool = new(2);
        Late work = new();
        long before = GC.GetAllocatedBytesForCurrentThread();
        pool.Run(work, 2);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.Equal(2, work.Done);
    }

    [Fact]
    public void There_is_a_physical_core_and_no_more_than_logical_ones() =>
        Assert.InRange(ProcessorTopology.PhysicalCores(), 1, Environment.ProcessorCount);

    private sealed class Counting(int items, int effort) : ParallelWork
    {
        private int _highestThread = -1;

        public int[] Counts { get; } = new int[items];

        public int HighestThread => _highestThread;

        public override void Execute(int item, int thread)
        {
            Interlocked.Increment(ref Counts[item]);
            Thread.SpinWait(effort * 50);
            InterlockedMax(thread);
        }

        private void InterlockedMax(int thread)
        {
            int seen = Volatile.Read(ref _highestThread);
            while (thread > seen)
                seen = Interlocked.CompareExchange(ref _highestThread, thread, seen);
        }
    }

    /// <summary>Two items, each its own thread's; the worker's takes longer.</summary>
    private sealed class Late : ParallelWork
    {
        private int _done;

        public int Done => _done;

        public override void Execute(int item, int thread)
        {
            Interlocked.Increment(ref _done);
            SpinWait wait = default;
            while (Volatile.Read(ref _done) < 2)
                wait.SpinOnce();
            if (thread != 0)
                Thread.Sleep(30);
        }
    }

    private sealed class Failing(int failing) : ParallelWork
    {
        public override void Execute(int item, int thread)
        {
            if (item == failing)
                throw new InvalidOperationException("item");
        }
    }

    /// <summary>Which processors each thread may use.</summary>
    private sealed class Where : ParallelWork
    {
        public string[] Lists { get; } = ["", ""];

        public override void Execute(int item, int thread)
        {
            Lists[thread] = File.ReadLines("/proc/thread-self/status").Single(line => line.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal)).Split(':')[1].Trim();
            Thread.Sleep(1);
        }
    }
}
