using System.Diagnostics;
using Sluice.Checkpoints.Loading;
using Sluice.Core;
using Sluice.Memory;

namespace Sluice.Checkpoints;

/// <summary>What one load took.</summary>
/// <param name="Workers">Threads.</param>
/// <param name="Cold">Whether the files came from the disk rather than from the system's cache.</param>
/// <param name="Bytes">Bytes of tensors read.</param>
/// <param name="Elapsed">Time, from opening the folder to the last byte packed.</param>
/// <param name="CopyBytesPerSecond">What as many threads copy from memory to memory, measured right after.</param>
public readonly record struct LoadMeasurement(int Workers, bool Cold, long Bytes, TimeSpan Elapsed, double CopyBytesPerSecond)
{
    /// <summary>Bytes per second.</summary>
    public double BytesPerSecond => Bytes / Elapsed.TotalSeconds;

    /// <summary>Speed as a fraction of the memory-to-memory copy.</summary>
    public double FractionOfCopy => BytesPerSecond / CopyBytesPerSecond;
}

/// <summary>
/// Measures loading: every tensor of a checkpoint, row by row through <see cref="WeightPlan"/>, copied into huge-page memory, which is
/// what a backend does that keeps weights as they are stored.
/// </summary>
public static class LoadBenchmark
{
    private const int CopyBytes = 256 << 20;
    private const int CopyRepeats = 3;

    /// <summary>Loads once.</summary>
    /// <param name="path">A checkpoint.</param>
    /// <param name="workers">Threads; 0 for the default.</param>
    /// <param name="cold">Drops the files from the system's cache first (Linux only).</param>
    /// <param name="progress">As for <see cref="WeightPlan.Load"/>.</param>
    /// <param name="cancellation">As for <see cref="WeightPlan.Load"/>.</param>
    public static LoadMeasurement Run(
        string path, int workers = 0, bool cold = false, IProgress<LoadProgress>? progress = null, CancellationToken cancellation = default)
    {
        int threads = workers == 0 ? Loader.DefaultWorkers : workers;
        bool dropped = cold && DropCache(path);
        long bytes;
        TimeSpan elapsed;
        using (var arena = new Arena("load benchmark"))
        {
            long start = Stopwatch.GetTimestamp();
            using Checkpoint checkpoint = Checkpoint.Open(path);
            var plan = new WeightPlan(checkpoint);
            foreach (TensorInfo tensor in checkpoint.Tensors)
                Plan(plan, checkpoint, tensor, arena);
            plan.Validate();
            plan.Load(threads, progress, cancellation);
            elapsed = Stopwatch.GetElapsedTime(start);
            bytes = plan.TotalBytes;
        }

        return new LoadMeasurement(threads, dropped, bytes, elapsed, CopyBandwidth(threads));
    }

    /// <summary>Bytes per second that <paramref name="threads"/> threads copy between huge-page memory that has been touched before.</summary>
    public static double CopyBandwidth(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(threads);
        using var arena = new Arena("copy benchmark");
        using var barrier = new Barrier(threads + 1);
        var running = new Thread[threads];
        for (int i = 0; i < threads; i++)
        {
            running[i] = new Thread(() => CopyInStep(arena, CopyBytes / threads, barrier));
            running[i].Start();
        }

        double best = 0;
        for (int repeat = 0; repeat <= CopyRepeats; repeat++)
        {
            barrier.SignalAndWait();
            long start = Stopwatch.GetTimestamp();
            barrier.SignalAndWait();

            // The first round touches the memory and does not count.
            if (repeat > 0)
                best = Math.Max(best, CopyBytes / threads * threads / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        foreach (Thread thread in running)
            thread.Join();
        return best;
    }

    private static void CopyInStep(Arena arena, int bytes, Barrier barrier)
    {
        Span<byte> from = arena.AllocateSpan<byte>(bytes);
        Span<byte> to = arena.AllocateSpan<byte>(bytes);
        from.Fill(1);
        for (int repeat = 0; repeat <= CopyRepeats; repeat++)
        {
            barrier.SignalAndWait();
            from.CopyTo(to);
            barrier.SignalAndWait();
        }
    }

    private static void Plan(WeightPlan plan, Checkpoint checkpoint, TensorInfo tensor, Arena arena)
    {
        plan.Use(tensor.Name);
        if (tensor.ByteLength == 0 || tensor.Type == DType.Other)
            return;
        int columns = tensor.Shape.Count > 0 ? tensor.Shape[^1] : 1;
        int rows = checked((int)(tensor.ByteLength / tensor.Type.RowBytes(columns)));
        var source = new StoredMatrix(checkpoint, tensor, rows, columns);
        plan.Job(tensor.Name, source.ByteLength, () => Copy(source, arena));
    }

    private static void Copy(MatrixSource source, Arena arena)
    {
        // One allocation to a tensor, in pieces of whole rows that a span can hold.
        int rowsAtOnce = Math.Max(1, int.MaxValue / source.RowBytes / 2);
        byte[] scratch = new byte[source.RowBytes];
        for (int first = 0; first < source.Rows; first += rowsAtOnce)
        {
            int rows = Math.Min(rowsAtOnce, source.Rows - first);
            Span<byte> packed = arena.AllocateSpan<byte>(rows * source.RowBytes);
            for (int row = 0; row < rows; row++)
                source.Row(first + row, scratch).CopyTo(packed[(row * source.RowBytes)..]);
        }
    }

    private static bool DropCache(string path)
    {
        IReadOnlyList<string> files;
        using (Checkpoint checkpoint = Checkpoint.Open(path))
            files = checkpoint.Files;
        bool dropped = true;
        foreach (string file in files)
            dropped &= MappedFile.TryDropCache(file);
        return dropped;
    }
}
