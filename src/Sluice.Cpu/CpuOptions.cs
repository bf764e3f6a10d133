using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Threading;
using Sluice.Memory;

namespace Sluice.Cpu;

/// <summary>What matrix products make of the activations they are given. Everything else is float32 always.</summary>
public enum ActivationPrecision
{
    /// <summary>
    /// Whatever this processor multiplies fastest with the weights' type: rounded to BF16 for weights in BF16 and FP8, to INT8 with a
    /// factor for every 32 columns for quantised weights. The same on every processor, to the bit, but that those with AMX sum products of BF16 and FP8 weights in
    /// another order.
    /// </summary>
    Fast,

    /// <summary>Float32 as they are, for comparison with other implementations: half as fast or less. Quantised weights take four bytes each.</summary>
    Float32,
}

/// <summary>Whether threads that compute are bound to cores.</summary>
public enum ThreadPinning
{
    /// <summary>The system moves them as it likes.</summary>
    Off,

    /// <summary>Each to a core of its own, where the system can and the threads are as many as the cores that the process may use.</summary>
    Auto,
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

    /// <summary>What keys and values are kept as; see <see cref="ResolvedKvDtype"/> for <see cref="KvDtype.Auto"/>.</summary>
    public KvDtype KvDtype { get; init; }

    /// <summary>Whether threads are bound to cores.</summary>
    public ThreadPinning Pin { get; init; }

    /// <summary>
    /// <see cref="KvDtype"/>, where <see cref="KvDtype.Auto"/> stands for BF16: far below what fast products round away. Who wants those in float32
    /// wants keys and values in it too.
    /// </summary>
    public KvDtype ResolvedKvDtype => KvDtype != KvDtype.Auto ? KvDtype : Activations == ActivationPrecision.Fast ? KvDtype.BF16 : KvDtype.Float32;

    /// <summary><see cref="Threads"/>, checked and with its default.</summary>
    /// <exception cref="ConfigurationException">It is out of range.</exception>
    internal int ResolveThreads()
    {
        int threads = Threads ?? ProcessorTopology.PhysicalCores();
        return threads is >= 1 and <= MaxThreads
            ? threads
            : throw new ConfigurationException($"threads: expected 1 to {MaxThreads}, found {threads}");
    }

    /// <summary>
    /// The processors to bind so many threads to, or null to bind none. With fewer threads than cores the system places them better than anybody who does
    /// not know what else runs: two programs would choose the same cores. With more, some would have to share one.
    /// </summary>
    internal int[]? ResolveProcessors(int threads)
    {
        if (Pin == ThreadPinning.Off || threads < 2)
            return null;
        int[] cores = ThreadAffinity.AllowedCores();
        return cores.Length == threads ? cores : null;
    }
}
