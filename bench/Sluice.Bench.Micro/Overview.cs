using System.Diagnostics;
using System.Globalization;
using Sluice.Core;
using Sluice.Cpu;

namespace Sluice.Bench.Micro;

/// <summary>
/// Every kernel at the sizes of Qwen3-Next-80B, in a minute, as fractions of what the machine showed in the same run: multiply-adds
/// of the peak, bytes of the read bandwidth. The best of many short runs, since a busy machine can only make them longer.
/// </summary>
internal static class Overview
{
    private static readonly LinearAttentionConfig Linear = new(KeyHeads: 16, ValueHeads: 32, KeyDim: 128, ValueDim: 128, ConvKernel: 4);

    private static readonly AttentionConfig Full = new(
        QueryHeads: 16, KvHeads: 2, HeadDim: 256, RotaryDim: 64, RopeTheta: 1e7, OutputGate: true, Bias: false);

    private static readonly (string Name, Func<CpuBackend, Scenario> Make)[] Scenarios =
    [
        ("linear BF16 2048x4096, 512 rows", b => Scenario.Linear(b, DType.BF16, 512, 2048, 4096)),
        ("linear F32 2048x4096, 512 rows", b => Scenario.Linear(b, DType.F32, 512, 2048, 4096)),
        ("linear FP8 2048x4096, 512 rows", b => Scenario.Linear(b, DType.F8E4M3, 512, 2048, 4096)),
        ("linear F16 2048x4096, 512 rows", b => Scenario.Linear(b, DType.F16, 512, 2048, 4096)),
        ("linear BF16 2048x4096, 2048 rows", b => Scenario.Linear(b, DType.BF16, 2048, 2048, 4096)),
        ("linear BF16 2048x4096, 64 rows", b => Scenario.Linear(b, DType.BF16, 64, 2048, 4096)),
        ("linear BF16 2048x4096, 8 rows", b => Scenario.Linear(b, DType.BF16, 8, 2048, 4096)),
        ("linear BF16 2048x65536, 1 row", b => Scenario.Linear(b, DType.BF16, 1, 2048, 65536)),
        ("linear BF16 2048x65536, 2 rows", b => Scenario.Linear(b, DType.BF16, 2, 2048, 65536)),
        ("linear BF16 2048x65536, 4 rows", b => Scenario.Linear(b, DType.BF16, 4, 2048, 65536)),
        ("linear BF16 2048x65536, 8 rows", b => Scenario.Linear(b, DType.BF16, 8, 2048, 65536)),
        ("linear Q8_0 2048x4096, 512 rows", b => Scenario.Linear(b, DType.Q8_0, 512, 2048, 4096)),
        ("linear Q4_K 2048x4096, 512 rows", b => Scenario.Linear(b, DType.Q4_K, 512, 2048, 4096)),
        ("linear Q5_K 2048x4096, 512 rows", b => Scenario.Linear(b, DType.Q5_K, 512, 2048, 4096)),
        ("linear Q6_K 2048x4096, 512 rows", b => Scenario.Linear(b, DType.Q6_K, 512, 2048, 4096)),
        ("linear Q8_0 1024x6144, 512 rows", b => Scenario.Linear(b, DType.Q8_0, 512, 1024, 6144)),
        ("linear Q4_K 1024x6144, 512 rows", b => Scenario.Linear(b, DType.Q4_K, 512, 1024, 6144)),
        ("linear Q8_0 2048x65536, 1 row", b => Scenario.Linear(b, DType.Q8_0, 1, 2048, 65536)),
        ("linear Q4_K 2048x65536, 1 row", b => Scenario.Linear(b, DType.Q4_K, 1, 2048, 65536)),
        ("linear Q6_K 2048x65536, 1 row", b => Scenario.Linear(b, DType.Q6_K, 1, 2048, 65536)),
        ("linear F32 2048x32768, 1 row", b => Scenario.Linear(b, DType.F32, 1, 2048, 32768)),
        ("linear FP8 2048x131072, 1 row", b => Scenario.Linear(b, DType.F8E4M3, 1, 2048, 131072)),
        ("experts BF16 128 of 2048x512, top 10, 1 row", b => Scenario.Experts(b, DType.BF16, 1, 2048, 512, 128, 10)),
        ("experts BF16 128 of 2048x512, top 10, 128 rows", b => Scenario.Experts(b, DType.BF16, 128, 2048, 512, 128, 10)),
        ("experts BF16 128 of 2048x512, top 10, 512 rows", b => Scenario.Experts(b, DType.BF16, 512, 2048, 512, 128, 10)),
        ("experts Q8_0 32 of 1024x256, top 4, 512 rows", b => Scenario.Experts(b, DType.Q8_0, 512, 1024, 256, 32, 4)),
        ("experts Q4_K 32 of 1024x256, top 4, 512 rows", b => Scenario.Experts(b, DType.Q4_K, 512, 1024, 256, 32, 4)),
        ("experts Q4_K 512 of 2048x512, top 10, 512 rows", b => Scenario.Experts(b, DType.Q4_K, 512, 2048, 512, 512, 10)),
        ("experts Q4_K 128 of 2048x512, top 10, 1 row", b => Scenario.Experts(b, DType.Q4_K, 1, 2048, 512, 128, 10)),
        ("delta rule, 1 token", b => Scenario.DeltaRule(b, Linear, 1, 1)),
        ("delta rule, 16 x 1 token", b => Scenario.DeltaRule(b, Linear, 16, 1)),
        ("delta rule, 512 tokens", b => Scenario.DeltaRule(b, Linear, 1, 512)),
        ("convolution, 1 token", b => Scenario.Convolution(b, Linear, 1)),
        ("convolution, 512 tokens", b => Scenario.Convolution(b, Linear, 512)),
        ("attention, 1 token of 2048", b => Scenario.Attention(b, Full, 1, 1, 2048)),
        ("attention, 1 token of 32768", b => Scenario.Attention(b, Full, 1, 1, 32768)),
        ("attention, 512 tokens of 512", b => Scenario.Attention(b, Full, 1, 512, 512)),
        ("attention, 512 tokens of 4096", b => Scenario.Attention(b, Full, 1, 512, 4096)),
        ("packing BF16", _ => Scenario.Packing(DType.BF16)),
        ("packing F32", _ => Scenario.Packing(DType.F32)),
        ("packing FP8", _ => Scenario.Packing(DType.F8E4M3)),
        ("fork and join", Scenario.Fork),
    ];

    public static void Run(int? threads, string filter, double seconds)
    {
        CpuOptions options = new() { Threads = threads };
        MachineLimits limits = MachineLimits.Measure(options, TimeSpan.FromSeconds(2));
        using (CpuBackend backend = new(options))
            Console.WriteLine(backend.Name);
        Console.WriteLine(Invariant(
            $"peak {limits.DescribeMultiplyAdds()}, read bandwidth {limits.ReadBytesPerSecond / 1e9:f1} GB/s"));
        Console.WriteLine();
        Console.WriteLine($"{"",-48}{"time",12}{"GMAC/s",10}{"of peak",9}{"GB/s",9}{"of read",9}");
        foreach ((string name, Func<CpuBackend, Scenario> make) in Scenarios)
        {
            if (!name.Contains(filter, StringComparison.OrdinalIgnoreCase))
                continue;
            using CpuBackend backend = new(options);
            Scenario scenario = make(backend);
            double time = Best(scenario.Run, seconds);
            (double rate, double bandwidth) = (scenario.MultiplyAdds / time, scenario.Bytes / time);
            Console.WriteLine(Invariant(
                $"{name,-48}{time * 1e6,9:f1} us{rate / 1e9,10:f1}{rate / PeakOf(scenario.Type, limits),9:p0}{bandwidth / 1e9,9:f1}{bandwidth / limits.ReadBytesPerSecond,9:p0}"));
        }
    }

    /// <summary>The fastest multiply-adds for weights of a type.</summary>
    private static double PeakOf(DType type, MachineLimits limits) => type switch
    {
        DType.BF16 or DType.F8E4M3 when limits.BFloat16MultiplyAddsPerSecond > 0 => limits.BFloat16MultiplyAddsPerSecond,
        _ when type.IsBlocked() && limits.Int8MultiplyAddsPerSecond > 0 => limits.Int8MultiplyAddsPerSecond,
        _ => limits.MultiplyAddsPerSecond,
    };

    private static double Best(Action run, double seconds)
    {
        run();
        double best = double.PositiveInfinity;
        long begin = Stopwatch.GetTimestamp();
        do
        {
            long start = Stopwatch.GetTimestamp();
            run();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        while (Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds);
        return best;
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
