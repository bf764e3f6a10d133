using System.Diagnostics;
using Sluice.Backends;
using Sluice.Memory;

namespace Sluice.Cpu.Memory;

/// <summary>
/// Float32 rows in native memory, 64-byte aligned. Rows lie an odd number of cache lines apart: with a power of two, the many rows
/// of a prefill would compete for the same few places in the caches.
/// </summary>
internal sealed unsafe class CpuActivation : Activation
{
    private CpuActivation(float* data, int stride, int rows, int width)
        : base(rows, width)
    {
        Data = data;
        Stride = stride;
    }

    /// <summary>First element of row 0.</summary>
    public float* Data { get; }

    /// <summary>Floats from one row to the next.</summary>
    public int Stride { get; }

    /// <summary>Allocates; in debug builds filled with NaN, so that a row read before it is written shows.</summary>
    public static CpuActivation Allocate(Arena arena, int rows, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        int stride = StrideOf(width);
        long length = rows * (long)stride;
        float* data = (float*)arena.Allocate(checked(length * sizeof(float)));
        Poison.Fill(data, length);
        return new CpuActivation(data, stride, rows, width);
    }

    /// <summary>The stride of rows of a width.</summary>
    public static int StrideOf(int width) => checked((((width + 15) / 16) | 1) * 16);

    /// <summary>A row.</summary>
    public float* Row(int row)
    {
        Debug.Assert((uint)row < (uint)Rows, "row outside the activation");
        return Data + (row * (long)Stride);
    }

    /// <inheritdoc/>
    public override Activation Columns(int start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Width - start);
        return new CpuActivation(Data + start, Stride, Rows, count);
    }
}
