using System.Buffers;
using Sluice.Core;

namespace Sluice.Checkpoints.Loading;

/// <summary>Rows of a stored tensor, as they are stored; from row <paramref name="first"/> of it on.</summary>
internal class StoredMatrix(TensorStore store, TensorInfo tensor, int rows, int columns, long first = 0)
    : MatrixSource(tensor.Name, tensor.Type, rows, columns)
{
    public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, Rows);
        LoadJob.CountRead(RowBytes);
        return store.Bytes(tensor, (first + row) * RowBytes, RowBytes, scratch);
    }

    public override void WriteIdentity(IBufferWriter<byte> writer)
    {
        base.WriteIdentity(writer);
        WriteNumber(writer, first);

        // A GGUF file's tensors appear in either of two orders under the same names.
        WriteNumber(writer, store.Config.LinearAttention is { TiledValueHeads: true } ? 1 : 0);
    }
}
