using Sluice.Memory;

namespace Sluice.Cpu.Threading;

/// <summary>Which processors each thread is bound to.</summary>
internal static class ThreadPlacement
{
    /// <summary>
    /// A core for each thread where they are as many as the cores. With fewer threads, where there are several nodes of memory, a node for each, so that nodes have
    /// even shares of the threads and two programs do not choose the same cores. Neighbouring threads are on different nodes, so that work for a few uses all nodes.
    /// </summary>
    /// <param name="threads">Threads.</param>
    /// <param name="cores">A processor of each core that the process may use.</param>
    /// <param name="nodes">Nodes of memory, or none.</param>
    /// <returns>Processors of each thread, the caller's first; null to bind none.</returns>
    public static IReadOnlyList<int>[]? Choose(int threads, IReadOnlyList<int> cores, IReadOnlyList<NumaNode> nodes)
    {
        if (threads < 2 || threads > cores.Count)
            return null;
        (int Core, NumaNode? Node)[] alternating = Alternate(cores, nodes);
        if (threads == cores.Count)
            return [.. alternating.Select(place => (IReadOnlyList<int>)[place.Core])];

        // A core that no node lists leaves nothing to share out evenly.
        return nodes.Count < 2 || alternating.Any(place => place.Node is null) ? null : [.. alternating.Take(threads).Select(place => place.Node!.Processors)];
    }

    /// <summary>The first core of each node, then the second of each, and so on.</summary>
    private static (int Core, NumaNode? Node)[] Alternate(IReadOnlyList<int> cores, IReadOnlyList<NumaNode> nodes) =>
    [
        .. cores.Select(core => (Core: core, Node: nodes.FirstOrDefault(node => node.Processors.Contains(core))))
            .GroupBy(place => place.Node?.Id)
            .SelectMany(group => group.Select((place, rank) => (place.Core, place.Node, Rank: rank)))
            .OrderBy(place => place.Rank)
            .Select(place => (place.Core, place.Node)),
    ];
}
