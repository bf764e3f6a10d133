using Sluice.Memory;

namespace Sluice.Cpu.Threading;

/// <summary>What processors the process may use.</summary>
internal static class ProcessorTopology
{
    /// <summary>
    /// Physical cores, as many as the process may use: two hardware threads of one core share its multiply-add units and its path to
    /// memory, so a second one is no gain. Where the system does not tell, logical processors.
    /// </summary>
    public static int PhysicalCores()
    {
        // What the runtime counts also knows a container's share of time.
        int logical = Environment.ProcessorCount;
        int cores = ThreadAffinity.AllowedCores().Length;
        return cores == 0 ? logical : Math.Min(logical, cores);
    }
}
