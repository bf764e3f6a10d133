using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Cuda.Memory;

/// <summary>Reads a stored matrix row by row as bfloat16, whatever its type and scales. For one thread.</summary>
internal sealed class BFloat16Rows(MatrixSource source)
{
    private readonly byte[] _stored = new byte[source.RowBytes];
    private readonly float[] _decoded = new float[source.Columns];
    private readonly float[] _scales = source.ScaleBlock == 0 ? [] : new float[(source.Columns + source.ScaleBlock - 1) / source.ScaleBlock];

    /// <summary>Fills <paramref name="to"/>, [columns].</summary>
    public void Read(int row, Span<ushort> to)
    {
        ReadOnlySpan<byte> stored = source.Row(row, _stored);
        if (source.Type == DType.BF16)
        {
            MemoryMarshal.Cast<byte, ushort>(stored).CopyTo(to);
            return;
        }

        StoredNumbers.Decode(source.Type, stored, _decoded);
        if (_scales.Length > 0)
        {
            source.RowScales(row, _scales);
            for (int c = 0; c < _decoded.Length; c++)
                _decoded[c] *= _scales[c / source.ScaleBlock];
        }

        for (int c = 0; c < _decoded.Length; c++)
            to[c] = StoredNumbers.ToBF16(_decoded[c]);
    }
}
