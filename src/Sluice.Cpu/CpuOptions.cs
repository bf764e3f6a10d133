namespace Sluice.Cpu;

/// <summary>How to use the processor.</summary>
public sealed record CpuOptions
{
    /// <summary>Threads that compute, the caller's among them; null for one per physical core the process may use.</summary>
    public int? Threads { get; init; }
}
