using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Backends.Tests;

/// <summary>A matrix source over an array.</summary>
internal sealed class MemoryMatrix(DType type, int rows, int columns, byte[] bytes, float[]? scales = null, int scaleBlock = 0)
    : MatrixSource("test", type, rows, columns)
{
    public override int ScaleBlock => scaleBlock;

    public static MemoryMatrix F32(int rows, int columns, float[] values) =>
        new(DType.F32, rows, columns, MemoryMarshal.AsBytes<float>(values).ToArray());

    public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch) => bytes.AsSpan(row * RowBytes, RowBytes);

    public override void RowScales(int row, Span<float> destination)
    {
        int blocks = (Columns + scaleBlock - 1) / scaleBlock;
        scales.AsSpan(row / scaleBlock * blocks, blocks).CopyTo(destination);
    }
}
