using Sluice.Backends;
using Sluice.Memory;

namespace Sluice.Cpu.Memory;

/// <summary>A float32 vector, padded with zeros to a multiple of 16.</summary>
internal sealed unsafe class CpuVector : Vector
{
    private readonly Arena _arena;
    private volatile nint _transposed;

    public CpuVector(Arena arena, ReadOnlySpan<float> values)
        : base(values.Length)
    {
        _arena = arena;
        Data = (float*)arena.Allocate((values.Length + 15L) / 16 * 16 * sizeof(float));
        values.CopyTo(new Span<float>(Data, values.Length));
    }

    public float* Data { get; }

    /// <summary>
    /// The vector as a matrix [rows, columns], transposed: made at the first call, which must be for all later ones too. What the
    /// convolution wants: neighbouring channels in neighbouring lanes.
    /// </summary>
    public float* Transposed(int rows, int columns)
    {
        if (_transposed != 0)
            return (float*)_transposed;

        float* transposed = (float*)_arena.Allocate((Length + 15L) * sizeof(float));
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
                transposed[(column * (long)rows) + row] = Data[(row * (long)columns) + column];
        }

        _transposed = (nint)transposed;
        return transposed;
    }
}
