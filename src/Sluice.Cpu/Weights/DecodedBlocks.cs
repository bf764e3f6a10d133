using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Cpu.Weights;

/// <summary>A matrix of a block type as float32, decoded row by row while it is packed: what no panel of its own holds.</summary>
internal sealed class DecodedBlocks : MatrixSource
{
    private readonly MatrixSource _inner;

    private DecodedBlocks(MatrixSource inner)
        : base(inner.Name, DType.F32, inner.Rows, inner.Columns) => _inner = inner;

    /// <summary>The matrix itself, unless its type is one of blocks.</summary>
    public static MatrixSource Of(MatrixSource source) => source.Type.IsBlocked() ? new DecodedBlocks(source) : source;

    public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch)
    {
        StoredNumbers.Decode(_inner.Type, _inner.Row(row, new byte[_inner.RowBytes]), MemoryMarshal.Cast<byte, float>(scratch)[..Columns]);
        return scratch[..RowBytes];
    }
}
