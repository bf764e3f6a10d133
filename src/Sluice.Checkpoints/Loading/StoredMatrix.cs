using Sluice.Core;

namespace Sluice.Checkpoints.Loading;

/// <summary>Rows of a stored tensor, as they are stored.</summary>
internal class StoredMatrix(TensorStore store, TensorInfo tensor, int rows, int columns)
    : MatrixSource(tensor.Name, tensor.Type, rows, columns)
{
    public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch)
    {
        LoadJob.CountRead(RowBytes);
        return store.Bytes(tensor, (long)row * RowBytes, RowBytes, scratch);
    }
}
