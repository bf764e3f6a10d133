using Sluice.Core;
using Sluice.Memory;

namespace Sluice.Cpu.Weights;

/// <summary>A matrix row by row as stored: an embedding.</summary>
internal sealed unsafe class StoredRows
{
    private readonly DType _type;
    private readonly int _rowBytes;
    private readonly int _scaleBlock;
    private readonly int _blocks;
    private readonly byte* _data;
    private readonly float* _scales;

    private StoredRows(MatrixSource source, byte* data, float* scales)
    {
        _type = source.Type;
        _rowBytes = source.RowBytes;
        _scaleBlock = source.ScaleBlock;
        _blocks = PanelMatrix.BlocksOf(source.Columns, source.ScaleBlock);
        _data = data;
        _scales = scales;
        Rows = source.Rows;
    }

    public int Rows { get; }

    public long Bytes => Rows * ((long)_rowBytes + (_blocks * sizeof(float)));

    public static StoredRows Load(MatrixSource source, WeightMemory memory)
    {
        int blocks = PanelMatrix.BlocksOf(source.Columns, source.ScaleBlock);
        long scalesAt = Arena.Align(source.ByteLength);
        byte* data = memory.Take(PieceKind.Rows, source.Type, [source], checked(scalesAt + (source.Rows * (long)blocks * sizeof(float))), out bool isPacked);
        float* scales = (float*)(data + scalesAt);
        if (isPacked)
            return new StoredRows(source, data, scales);
        for (int row = 0; row < source.Rows; row++)
        {
            Span<byte> to = new(data + (row * (long)source.RowBytes), source.RowBytes);
            ReadOnlySpan<byte> stored = source.Row(row, to);
            if (!stored.Overlaps(to))
                stored.CopyTo(to);
            if (blocks > 0)
                source.RowScales(row, new Span<float>(scales + (row * (long)blocks), blocks));
        }

        return new StoredRows(source, data, scales);
    }

    public void Decode(int row, Span<float> destination)
    {
        StoredNumbers.Decode(_type, new ReadOnlySpan<byte>(_data + (row * (long)_rowBytes), _rowBytes), destination);
        if (_scaleBlock == 0)
            return;
        float* scales = _scales + (row * (long)_blocks);
        for (int c = 0; c < destination.Length; c++)
            destination[c] *= scales[c / _scaleBlock];
    }
}
