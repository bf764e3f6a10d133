using System.Diagnostics;
using System.Runtime.ExceptionServices;
using Sluice.Memory;

namespace Sluice.Cpu.Threading;

/// <summary>
/// Threads for fork-join work of microseconds. The caller works too, and never waits for a thread that has not begun: a worker that
/// is asleep or without a core simply misses the work. Idle workers spin for a moment, since a forward pass forks every few
/// microseconds, then park.
/// </summary>
/// <remarks>
/// One word, the gate, says everything: the number of the job, whether it can still be entered, and how many workers are inside.
/// The caller opens it, works, closes it and waits for those inside to leave.
/// </remarks>
internal sealed class WorkerPool : IDisposable
{
    /// <summary>How long a thread without work spins before it parks. A wake-up costs about 5 microseconds, mostly to the caller.</summary>
    private static readonly long SpinTicks = Stopwatch.Frequency / 10_000;

    private const long Open = 1L << 15;
    private const long InsideMask = Open - 1;
    private const int JobShift = 16;

    [ThreadStatic]
    private static WorkerPool? _boundTo;

    private readonly Worker[] _workers;
    private readonly IReadOnlyList<int>[]? _processors;
    private readonly SemaphoreSlim _allLeft = new(0);
    private PaddedLong _gate;
    private PaddedLong _next;
    private ParallelWork? _work;
    private int _items;
    private ExceptionDispatchInfo? _failure;
    private int _callerParked;
    private volatile bool _stopping;

    /// <summary>Starts <paramref name="threads"/> - 1 workers.</summary>
    /// <param name="threads">Threads that work, the caller's among them.</param>
    /// <param name="processors">Processors to bind each thread to, the caller's first; null leaves them to the system.</param>
    public WorkerPool(int threads, IReadOnlyList<int>[]? processors = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, (int)InsideMask);
        _processors = processors is not null && processors.Length >= threads ? processors : null;
        _workers = new Worker[threads - 1];
        for (int i = 0; i < _workers.Length; i++)
            _workers[i] = new Worker(this, i + 1);
        foreach (Worker worker in _workers)
            worker.Start();
    }

    /// <summary>Threads that work, the caller's among them.</summary>
    public int Threads => _workers.Length + 1;

    /// <summary>Whether threads are bound to processors.</summary>
    public bool IsBound => _processors is not null;

    /// <summary>
    /// Binds the calling thread, which will call <see cref="Run"/>, to the first processors, once. Not a thread that others share or inherit from: one of the
    /// runtime's pool, or the process's first.
    /// </summary>
    public void BindCaller()
    {
        if (_processors is null || ReferenceEquals(_boundTo, this))
            return;
        _boundTo = this;
        if (!Thread.CurrentThread.IsThreadPoolThread && !ThreadAffinity.IsMainThread)
            _ = ThreadAffinity.TryBind(_processors[0]);
    }

    /// <summary>
    /// Executes items 0 to <paramref name="items"/> - 1 and returns when all are done. One caller at a time, and not from within work.
    /// The first exception an item throws is thrown here; items not yet begun are then skipped.
    /// </summary>
    public void Run(ParallelWork work, int items)
    {
        if (items <= 1 || _workers.Length == 0)
        {
            for (int item = 0; item < items; item++)
                work.Execute(item, thread: 0);
            return;
        }

        _work = work;
        _items = items;
        Volatile.Write(ref _next.Value, 0);
        long job = (_gate.Value >> JobShift) + 1;
        Interlocked.Exchange(ref _gate.Value, (job << JobShift) | Open);
        int wanted = Math.Min(items - 1, _workers.Length);
        for (int i = 0; i < wanted; i++)
            _workers[i].Wake();

        ExecuteItems(work, items, thread: 0);

        if ((Interlocked.And(ref _gate.Value, ~Open) & InsideMask) != 0)
            WaitUntilAllLeft();
        _work = null;
        if (_failure is not null)
        {
            ExceptionDispatchInfo failure = _failure;
            _failure = null;
            failure.Throw();
        }
    }

    /// <summary>Stops and joins the workers.</summary>
    public void Dispose()
    {
        if (_stopping)
            return;
        _stopping = true;
        foreach (Worker worker in _workers)
            worker.Wake();
        foreach (Worker worker in _workers)
            worker.Dispose();
        _allLeft.Dispose();
    }

    private void ExecuteItems(ParallelWork work, int items, int thread)
    {
        try
        {
            while (true)
            {
                long item = Interlocked.Increment(ref _next.Value) - 1;
                if (item >= items)
                    return;
                work.Execute((int)item, thread);
            }
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(e), null);
            Interlocked.Exchange(ref _next.Value, items);
        }
    }

    /// <summary>Waits for workers still inside. One that has lost its core may take milliseconds, so this too ends in parking.</summary>
    private void WaitUntilAllLeft()
    {
        long deadline = Stopwatch.GetTimestamp() + SpinTicks;
        while ((Volatile.Read(ref _gate.Value) & InsideMask) != 0)
        {
            if (Stopwatch.GetTimestamp() < deadline)
            {
                Thread.SpinWait(8);
                continue;
            }

            // Declared parked first, then one more look, as workers do: who leaves last after that wakes.
            Interlocked.Exchange(ref _callerParked, 1);
            if ((Volatile.Read(ref _gate.Value) & InsideMask) != 0 || Interlocked.Exchange(ref _callerParked, 0) == 0)
                _allLeft.Wait();
        }
    }

    /// <summary>Enters the open job unless <paramref name="last"/> was it; works; leaves. Returns whether there was work.</summary>
    private bool TryWork(ref long last, int thread)
    {
        long gate = Volatile.Read(ref _gate.Value);
        if ((gate & Open) == 0 || gate >> JobShift == last)
            return false;
        if (Interlocked.CompareExchange(ref _gate.Value, gate + 1, gate) != gate)
            return true;

        last = gate >> JobShift;
        ExecuteItems(_work!, _items, thread);
        long after = Interlocked.Decrement(ref _gate.Value);
        if ((after & InsideMask) == 0 && Volatile.Read(ref _callerParked) != 0 && Interlocked.Exchange(ref _callerParked, 0) != 0)
            _allLeft.Release();
        return true;
    }

    /// <summary>A counter alone on its cache lines, so that claiming items does not slow down readers of its neighbours.</summary>
    [System.Runtime.InteropServices.StructLayout(System.Runtime.InteropServices.LayoutKind.Explicit, Size = 256)]
    private struct PaddedLong
    {
        [System.Runtime.InteropServices.FieldOffset(128)]
        public long Value;
    }

    private sealed class Worker : IDisposable
    {
        private readonly WorkerPool _pool;
        private readonly int _index;
        private readonly Thread _thread;
        private readonly SemaphoreSlim _wake = new(0);
        private int _parked;

        public Worker(WorkerPool pool, int index)
        {
            _pool = pool;
            _index = index;
            _thread = new Thread(Loop) { IsBackground = true, Name = $"sluice-cpu-{index}" };
        }

        public void Start() => _thread.Start();

        public void Wake()
        {
            if (Volatile.Read(ref _parked) != 0 && Interlocked.Exchange(ref _parked, 0) != 0)
                _wake.Release();
        }

        /// <summary>Waits for the thread to end, once the pool is stopping.</summary>
        public void Dispose()
        {
            _thread.Join();
            _wake.Dispose();
        }

        private void Loop()
        {
            if (_pool._processors is { } processors)
                _ = ThreadAffinity.TryBind(processors[_index]);
            long last = 0;
            while (!_pool._stopping)
            {
                long deadline = Stopwatch.GetTimestamp() + SpinTicks;
                while (!_pool._stopping && Stopwatch.GetTimestamp() < deadline)
                {
                    if (_pool.TryWork(ref last, _index))
                        deadline = Stopwatch.GetTimestamp() + SpinTicks;
                    else
                        Thread.SpinWait(4);
                }

                // Declared parked first, then one more look: work published before is seen here, later work wakes.
                Interlocked.Exchange(ref _parked, 1);
                if (_pool._stopping || _pool.TryWork(ref last, _index))
                {
                    if (Interlocked.Exchange(ref _parked, 0) == 0)
                        _wake.Wait();
                    continue;
                }

                _wake.Wait();
            }
        }
    }
}
