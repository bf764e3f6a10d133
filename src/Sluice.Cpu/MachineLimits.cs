using System.Diagnostics;
using System.Globalization;
using Sluice.Core;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Threading;
using Sluice.Memory;

namespace Sluice.Cpu;

/// <summary>What this machine can do at best, measured now: decoding is bound by the first, prefill by the second.</summary>
/// <param name="Threads">Threads that were measured together.</param>
/// <param name="ReadBytesPerSecond">Reading memory that no cache holds, in huge pages where there are any.</param>
/// <param name="MultiplyAddsPerSecond">Float32 multiply-adds, each counted once, in registers alone.</param>
/// <param name="BFloat16MultiplyAddsPerSecond">The same in BF16 with float32 sums, by AMX where it may be used; 0 where there are no instructions for it, or they are disabled.</param>
/// <param name="Int8MultiplyAddsPerSecond">
/// The same in INT8 with int32 sums, by AMX or <c>vpdpbusd</c>, otherwise by AVX-VNNI, the three instructions of AVX2 that stand in for it, or Arm's dot product; 0 where there is none of
/// these. In AVX2 weights of four bits take two instructions for as much, those of five and six two and a half, those of eight four: the former may exceed it, the latter cannot reach it.
/// </param>
public sealed record MachineLimits(
    int Threads, double ReadBytesPerSecond, double MultiplyAddsPerSecond, double BFloat16MultiplyAddsPerSecond, double Int8MultiplyAddsPerSecond)
{
    private const long BufferBytes = 512L << 20;
    private const int SliceBytes = 1 << 20;
    private const int Rounds = 20_000;

    /// <summary>
    /// Measures for about <paramref name="duration"/> (default: a second) and gives the best moments of it: other processes can only take
    /// away. Takes 512 MiB of memory meanwhile.
    /// </summary>
    /// <exception cref="BackendException">There are no vectors, or not that much memory.</exception>
    public static MachineLimits Measure(CpuOptions options, TimeSpan? duration = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        KernelSet kernels = KernelSet.Required();
        using WorkerPool pool = new(options.ResolveThreads());
        TimeSpan part = (duration ?? TimeSpan.FromSeconds(1)) / 4;
        return new MachineLimits(
            pool.Threads, ReadRate(pool, kernels, options.ResolveInterleaving(out _), part), MultiplyAddRate(pool, kernels, part),
            AssembledRate(pool, CpuFeatures.AmxBFloat16, CpuFeatures.Avx512BFloat16, part),
            Int8Rate(pool, part));
    }

    /// <summary>The multiply-adds there are, for people: <c>59.0 G multiply-adds/s in float32, 118.0 in BF16, 236.0 in INT8</c>.</summary>
    public string DescribeMultiplyAdds() => string.Create(CultureInfo.InvariantCulture, $"{MultiplyAddsPerSecond / 1e9:F1} G multiply-adds/s in float32")
        + (BFloat16MultiplyAddsPerSecond > 0 ? string.Create(CultureInfo.InvariantCulture, $", {BFloat16MultiplyAddsPerSecond / 1e9:F1} in BF16") : "")
        + (Int8MultiplyAddsPerSecond > 0 ? string.Create(CultureInfo.InvariantCulture, $", {Int8MultiplyAddsPerSecond / 1e9:F1} in INT8") : "");

    private static unsafe double ReadRate(WorkerPool pool, KernelSet kernels, NumaInterleaving? interleaving, TimeSpan duration)
    {
        using Arena arena = new("measuring the read bandwidth", interleaving: interleaving);
        ReadWork work = new(kernels, (float*)arena.Allocate(BufferBytes));
        new Span<byte>(work.Data, (int)BufferBytes).Fill(1); // pages that were never written are all the same page
        return BufferBytes / Shortest(pool, work, (int)(BufferBytes / SliceBytes), duration);
    }

    private static double MultiplyAddRate(WorkerPool pool, KernelSet kernels, TimeSpan duration)
    {
        // Several items for each thread, so that one that begins late does less, not later.
        int items = 16 * pool.Threads;
        return items * kernels.MultiplyAdds(Rounds, out _) / Shortest(pool, new MultiplyAddWork(kernels), items, duration);
    }

    private static double AssembledRate(WorkerPool pool, CpuFeatures best, CpuFeatures next, TimeSpan duration)
    {
        CpuFeatures features = AssembledKernels.Shared?.Features ?? CpuFeatures.None;
        CpuFeatures feature = features.HasFlag(best) ? best : next;
        if (!features.HasFlag(feature))
            return 0;
        int items = 16 * pool.Threads;
        return items * Rounds * PeakLoop.MultiplyAddsOf(feature) / Shortest(pool, new AssembledWork(AssembledKernels.Peak(feature)), items, duration);
    }

    private static double Int8Rate(WorkerPool pool, TimeSpan duration)
    {
        if (AssembledRate(pool, CpuFeatures.AmxInt8, CpuFeatures.Avx512Vnni, duration) is > 0 and var rate)
            return rate;
        int items = 16 * pool.Threads;
        double multiplyAdds = Int8Limits.MultiplyAdds(Rounds, out _);
        return multiplyAdds == 0 ? 0 : items * multiplyAdds / Shortest(pool, new Int8Work(), items, duration);
    }

    private static double Shortest(WorkerPool pool, ParallelWork work, int items, TimeSpan duration)
    {
        double shortest = double.PositiveInfinity;
        long begin = Stopwatch.GetTimestamp();
        do
        {
            long start = Stopwatch.GetTimestamp();
            pool.Run(work, items);
            shortest = Math.Min(shortest, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        while (Stopwatch.GetElapsedTime(begin) < duration);
        return shortest;
    }

    private sealed unsafe class ReadWork(KernelSet kernels, float* data) : ParallelWork
    {
        public float* Data => data;

        public override void Execute(int item, int thread) => kernels.Sum(data + (item * (long)(SliceBytes / sizeof(float))), SliceBytes / sizeof(float));
    }

    private sealed unsafe class AssembledWork(AssembledKernels.Tile loop) : ParallelWork
    {
        public override void Execute(int item, int thread)
        {
            TileArguments arguments = new() { Blocks = Rounds, Shapes = AmxShapes.Of(RowPacking.AmxTileRows, AmxShapes.TileRows) };
            loop.Run(&arguments);
        }
    }

    private sealed class Int8Work : ParallelWork
    {
        public override void Execute(int item, int thread) => Int8Limits.MultiplyAdds(Rounds, out _);
    }

    private sealed class MultiplyAddWork(KernelSet kernels) : ParallelWork
    {
        public override void Execute(int item, int thread) => kernels.MultiplyAdds(Rounds, out _);
    }
}
