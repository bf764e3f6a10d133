using Sluice.Core;
using Sluice.Cpu.Threading;

namespace Sluice.Cpu;

/// <summary>How to use the processor.</summary>
public sealed record CpuOptions
{
    /// <summary>Most threads there may be.</summary>
    public const int MaxThreads = 1024;

    /// <summary>Threads that compute, the caller's among them; null for one per physical core the process may use.</summary>
    public int? Threads { get; init; }

    /// <summary><see cref="Threads"/>, checked and with its default.</summary>
    /// <exception cref="ConfigurationException">It is out of range.</exception>
    internal int ResolveThreads()
    {
        int threads = Threads ?? ProcessorTopology.PhysicalCores();
        return threads is >= 1 and <= MaxThreads
            ? threads
            : throw new ConfigurationException($"threads: expected 1 to {MaxThreads}, found {threads}");
    }
}
