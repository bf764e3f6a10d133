using System.Globalization;
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

    /// <summary>
    /// Each to a core of its own, where the system can and the threads are as many as the cores that the process may use; fewer threads are shared out over the
    /// nodes of memory, where there are several (<see cref="NumaPlacement.Auto"/>).
    /// </summary>
    Auto,
}

/// <summary>Whether it matters that a machine has several nodes of memory (NUMA).</summary>
public enum NumaPlacement
{
    /// <summary>Weights, activations, KV pages and states are spread over the nodes page by page, and threads, if bound, evenly. With one node nothing happens.</summary>
    Auto,

    /// <summary>Memory lies where the system puts it: near the threads that write it first.</summary>
    Off,
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

    /// <summary>Whether memory is spread over the nodes that there are.</summary>
    public NumaPlacement Numa { get; init; }

    /// <summary>A file that keeps packed weights from one start to the next; null: they are packed at every start.</summary>
    public PackedWeightsOptions? PackedWeights { get; init; }

    /// <summary>Nodes of memory instead of the machine's, for tests.</summary>
    internal IReadOnlyList<NumaNode>? NodesInstead { get; init; }

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
    /// The processors to bind each of so many threads to, or null to bind none. With fewer threads than cores the system places them better than anybody who does
    /// not know what else runs: two programs would choose the same cores; but it may share them out unevenly over nodes of memory. With more, some would have to
    /// share a core.
    /// </summary>
    internal IReadOnlyList<int>[]? ResolveProcessors(int threads) =>
        Pin == ThreadPinning.Off ? null : ThreadPlacement.Choose(threads, ThreadAffinity.AllowedCores(), ResolveNodes());

    /// <summary>What spreads memory over the nodes, or null where there is one or the system does not allow it.</summary>
    /// <param name="note">What became of it, to follow the number of threads in the backend's name; empty with one node.</param>
    internal NumaInterleaving? ResolveInterleaving(out string note)
    {
        note = "";
        NumaNode[] nodes = [.. ResolveNodes().Where(node => node.HasMemory)];
        if (nodes.Length == 0)
            return null;
        var interleaving = NumaInterleaving.TryCreate(nodes, out string? refusal);
        note = interleaving is null
            ? string.Create(CultureInfo.InvariantCulture, $", memory not interleaved over {nodes.Length} nodes: {refusal}")
            : string.Create(CultureInfo.InvariantCulture, $", memory interleaved over {nodes.Length} nodes");
        return interleaving;
    }

    /// <summary>The nodes, where several have memory and <see cref="Numa"/> wants them looked at; otherwise none.</summary>
    private IReadOnlyList<NumaNode> ResolveNodes()
    {
        IReadOnlyList<NumaNode> nodes = Numa == NumaPlacement.Auto ? NodesInstead ?? NumaTopology.Allowed() : [];
        return nodes.Count(node => node.HasMemory) > 1 ? nodes : [];
    }
}
