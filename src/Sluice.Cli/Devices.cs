using Sluice.Backends;
using Sluice.Backends.Reference;
using Sluice.Core;
using Sluice.Cpu;

namespace Sluice.Cli;

/// <summary>What a model can run on. This is the one place that names devices.</summary>
internal static class Devices
{
    public const string Cpu = "cpu";
    public const string Reference = "reference";

    public static IBackend Open(string name, int threads = 0) => name switch
    {
        Cpu => new CpuBackend(Options(threads)),
        Reference => new ReferenceBackend(),
        _ => throw new ConfigurationException($"unknown backend '{name}'; there are {Cpu} and {Reference}"),
    };

    /// <summary>How to use the processor; 0 threads for its default.</summary>
    public static CpuOptions Options(int threads) => new() { Threads = threads > 0 ? threads : null };
}
