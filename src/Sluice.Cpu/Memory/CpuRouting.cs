using Sluice.Backends;
using Sluice.Memory;

namespace Sluice.Cpu.Memory;

/// <summary>The chosen experts and their weights, [rows, topK].</summary>
internal sealed unsafe class CpuRouting : Routing
{
    public CpuRouting(Arena arena, int rows, int topK)
        : base(rows, topK)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(topK);
        Experts = (int*)arena.Allocate(checked(rows * (long)topK * sizeof(int)));
        Weights = (float*)arena.Allocate(checked(rows * (long)topK * sizeof(float)));
        Poison.Fill(Weights, rows * (long)topK);
    }

    public int* Experts { get; }

    public float* Weights { get; }
}
