using BenchmarkDotNet.Attributes;
using Sluice.Core;
using Sluice.Cpu;

namespace Sluice.Bench.Micro;

/// <summary>The same scenarios under BenchmarkDotNet, for comparing one version of a kernel with another.</summary>
[MemoryDiagnoser]
public class KernelBenchmarks : IDisposable
{
    private CpuBackend _backend = null!;
    private Scenario _scenario = null!;

    /// <summary>Threads.</summary>
    [Params(1, 2)]
    public int Threads { get; set; }

    /// <summary>What runs.</summary>
    [Params("prefill", "decode", "experts", "delta prefill", "delta decode", "attention prefill", "attention decode", "fork")]
    public string Kernel { get; set; } = "";

    [GlobalSetup]
    public void Setup()
    {
        _backend = new CpuBackend(new CpuOptions { Threads = Threads });
        LinearAttentionConfig linear = new(16, 32, 128, 128, 4);
        AttentionConfig full = new(16, 2, 256, 64, 1e7, OutputGate: true, Bias: false);
        _scenario = Kernel switch
        {
            "prefill" => Scenario.Linear(_backend, DType.BF16, 512, 2048, 4096),
            "decode" => Scenario.Linear(_backend, DType.BF16, 1, 2048, 65536),
            "experts" => Scenario.Experts(_backend, DType.BF16, 512, 2048, 512, 128, 10),
            "delta prefill" => Scenario.DeltaRule(_backend, linear, 1, 512),
            "delta decode" => Scenario.DeltaRule(_backend, linear, 1, 1),
            "attention prefill" => Scenario.Attention(_backend, full, 1, 512, 4096),
            "attention decode" => Scenario.Attention(_backend, full, 1, 1, 4096),
            _ => Scenario.Fork(_backend),
        };
    }

    [Benchmark]
    public void Run() => _scenario.Run();

    [GlobalCleanup]
    public void Dispose()
    {
        _backend.Dispose();
        GC.SuppressFinalize(this);
    }
}
