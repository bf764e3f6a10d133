using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace Sluice.Checkpoints.Loading;

/// <summary>Runs load jobs on threads of their own, the largest first so that no long one is left for the end.</summary>
internal sealed class Loader(TensorStore store, IReadOnlyList<LoadJob> jobs)
{
    /// <summary>More threads than this no longer help: memory or disk is the limit.</summary>
    internal const int MaxDefaultWorkers = 16;

    private static readonly TimeSpan ReportInterval = TimeSpan.FromMilliseconds(100);

    private readonly LoadJob[] _queue = [.. jobs.OrderByDescending(job => job.Bytes)];
    private readonly Stopwatch _clock = new();
    private int _next = -1;
    private volatile bool _stopped;
    private ExceptionDispatchInfo? _failure;

    internal static int DefaultWorkers => Math.Clamp(Environment.ProcessorCount, 1, MaxDefaultWorkers);

    internal void Run(int workers, IProgress<LoadProgress>? progress, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(workers);
        cancellation.ThrowIfCancellationRequested();
        _clock.Start();
        int count = Math.Min(workers == 0 ? DefaultWorkers : workers, _queue.Length);
        var threads = new Thread[count];
        for (int i = 0; i < count; i++)
        {
            threads[i] = new Thread(Work) { IsBackground = true, Name = $"load {i}" };
            threads[i].Start();
        }

        using (cancellation.Register(Stop))
        {
            foreach (Thread thread in threads)
            {
                while (!thread.Join(ReportInterval))
                    Report(progress);
            }
        }

        cancellation.ThrowIfCancellationRequested();
        _failure?.Throw();
        Report(progress);
    }

    private void Work()
    {
        while (!_stopped)
        {
            int index = Interlocked.Increment(ref _next);
            if (index >= _queue.Length)
                return;
            try
            {
                store.CheckUnchanged();
                _queue[index].Run();
            }
            catch (Exception e)
            {
                // Whatever failed first is the cause; what others throw because they were stopped is not.
                Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(e), null);
                Stop();
            }
        }
    }

    private void Stop()
    {
        _stopped = true;
        foreach (LoadJob job in _queue)
            job.Stop();
    }

    private void Report(IProgress<LoadProgress>? progress)
    {
        if (progress is null)
            return;

        long bytes = 0;
        long total = 0;
        string current = "";
        foreach (LoadJob job in _queue)
        {
            long read = job.Progress;
            bytes += read;
            total += job.Bytes;
            if (read > 0 && read < job.Bytes && current.Length == 0)
                current = job.What;
        }

        progress.Report(new LoadProgress(bytes, total, _clock.Elapsed, current));
    }
}
