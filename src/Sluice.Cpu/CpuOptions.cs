using Sluice.Core;
using Sluice.Cpu.Threading;

namespace Sluice.Cpu;

/// <summary>What matrix products make of the activations they are given. Everything else is float32 always.</summary>
public enum ActivationPrecision
{
    /// <summary>
    /// Whatever this processor multiplies fastest with the weights' type: rounded to BF16 for weights in BF16 and FP8, to INT8 with a
    /// factor for every 32 columns for quantised weights. The same on every processor, to the bit.
    /// </summary>
    Fast,

    /// <summary>Float32 as they are, for comparison with other implementations: half as fast or less. Quantised weights take four bytes each.</summary>
    Float32,
}

/// <summary>How to use the processor.</summary>
public sealed record CpuOptions
{
    /// <summary>Most threads there may be.</summary>
    public const int MaxThreads = 1024;

    /// <summary>Threads that compute, the caller's among them; null for one per physical core the process may use.</summary>
    public int? Threads { get; init; }

    /// <summary>What products make of activations.</summary>
    public ActivationPrecision Activations { get; init; }

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
