using System.Buffers;
using Sluice.Core;

namespace Sluice.Checkpoints.Loading;

/// <summary>
/// An E4M3 matrix with one factor for each block of rows and columns: <c>weight_scale_inv</c>, [ceil(rows / blockRows),
/// ceil(columns / blockColumns)]. Despite the name, elements are multiplied by it.
/// </summary>
internal sealed class BlockScaledMatrix(
    TensorStore store, TensorInfo tensor, TensorInfo scales, int rows, int columns, (int Rows, int Columns) block)
    : StoredMatrix(store, tensor, rows, columns)
{
    private const int MaxScaleBytes = 4;

    private readonly TensorStore _store = store;

    public override int ScaleBlock => block.Columns;

    public override void WriteIdentity(IBufferWriter<byte> writer)
    {
        base.WriteIdentity(writer);
        WriteNumber(writer, block.Rows);
    }

    public override void RowScales(int row, Span<float> factors)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, Rows);
        int count = (Columns + block.Columns - 1) / block.Columns;
        int bytes = count * scales.Type.Size();
        Span<byte> scratch = count <= 256 ? stackalloc byte[256 * MaxScaleBytes] : new byte[bytes];
        ReadOnlySpan<byte> stored = _store.Bytes(scales, (long)(row / block.Rows) * bytes, bytes, scratch[..bytes]);
        Floats.Widen(scales.Type, stored, factors[..count]);
        foreach (float factor in factors[..count])
        {
            if (!float.IsFinite(factor))
                throw new CheckpointException($"{scales.Name}: a scale of row {row} is {factor}; expected a finite number");
        }
    }
}
