using System.Runtime.InteropServices;

namespace Sluice.Memory;

/// <summary>
/// Spreads memory over nodes (NUMA), page by page in turn, so that every thread reads with the bandwidth of all nodes rather than with that of the node whose thread
/// wrote first. Pages of a file are not concerned: they lie where the system's cache has them.
/// </summary>
public sealed unsafe class NumaInterleaving
{
    /// <summary>As many nodes as kernels are built for.</summary>
    internal const int MostNodes = 1024;

    private const int MaskWords = MostNodes / 64;

    private readonly ulong[] _mask = new ulong[MaskWords];

    private NumaInterleaving(IEnumerable<NumaNode> nodes)
    {
        foreach (NumaNode node in nodes)
            _mask[node.Id / 64] |= 1UL << (node.Id % 64);
    }

    /// <summary>
    /// What spreads memory over nodes, or null where that is not possible, and memory lies where it is first written. Asks the system for a page of its own, so that what
    /// a container forbids shows here.
    /// </summary>
    /// <param name="nodes">Nodes that have memory.</param>
    /// <param name="refusal">Why it is not possible, or null.</param>
    public static NumaInterleaving? TryCreate(IReadOnlyList<NumaNode> nodes, out string? refusal)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        foreach (NumaNode node in nodes)
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)node.Id, (uint)MostNodes, nameof(nodes));

        // Who chose a policy for the whole process, by numactl, chose it for weights too.
        int policy = Posix.MemoryDefault;
        if (Posix.GetMemoryPolicy(&policy, null, 0, null, 0) == 0 && policy != Posix.MemoryDefault)
        {
            refusal = "the process has a memory policy of its own";
            return null;
        }

        NumaInterleaving interleaving = new(nodes);
        refusal = interleaving.TryApplyToPage();
        return refusal is null ? interleaving : null;
    }

    /// <summary>Spreads pages that have not been written yet. A refusal only costs speed.</summary>
    /// <returns>Whether it was done.</returns>
    internal bool TryApply(void* start, nuint bytes)
    {
        // The number of bits that is passed counts one more than is read.
        fixed (ulong* mask = _mask)
            return Posix.BindMemory(start, bytes, Posix.MemoryInterleave, mask, MostNodes + 1, 0) == 0;
    }

    private string? TryApplyToPage()
    {
        nuint bytes = (nuint)Environment.SystemPageSize;
        void* page = Posix.Map(null, bytes, Posix.ProtRead | Posix.ProtWrite, Posix.MapPrivate | Posix.MapAnonymous, -1, 0);
        bool isDone = page != Posix.MapFailed && TryApply(page, bytes);
        string? refusal = isDone ? null : Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError());
        if (page != Posix.MapFailed)
            _ = Posix.Unmap(page, bytes);
        return refusal;
    }
}
