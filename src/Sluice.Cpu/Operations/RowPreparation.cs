using Sluice.Cpu.Assembly;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Memory;
using Sluice.Cpu.Threading;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Operations;

/// <summary>Rows of activations made into the form a product wants, once for all its panels.</summary>
internal sealed unsafe class RowPreparation(WorkerPool pool) : ParallelWork, IDisposable
{
    /// <summary>Columns that take about as long as a fork.</summary>
    private const int ColumnsOfItem = 32 * 1024;

    private readonly Scratch _memory = new("rounded activations");
    private readonly Scratch _pointers = new("pointers to rounded activations");
    private readonly List<Piece> _pieces = [];
    private RowForm _form;
    private float** _rows;
    private float** _to;
    private byte* _packed;
    private long _rowBytes;
    private int _columns;

    /// <summary>Begins: rows are given by <see cref="Add"/>, then converted by <see cref="Run"/>.</summary>
    /// <param name="form">What they shall be.</param>
    /// <param name="rows">Pointers to all the rows.</param>
    /// <param name="count">Rows.</param>
    /// <param name="columns">Their columns.</param>
    public void Begin(RowForm form, float** rows, int count, int columns)
    {
        (_form, _columns) = (form, columns);
        _rows = rows;
        _pieces.Clear();
        _packed = null;
        _to = rows;
        _rowBytes = RowBytesOf(form, columns);
        if (form == RowForm.Float32)
            return;
        _packed = _memory.Take<byte>(count * _rowBytes);
        if (form != RowForm.Rounded)
            return;
        _to = (float**)_pointers.Take<nint>(count);
        for (int row = 0; row < count; row++)
            _to[row] = (float*)(_packed + (row * _rowBytes));
    }

    /// <summary>Adds a group: rows that will meet the same weights.</summary>
    public void Add(int first, int count)
    {
        if (_form == RowForm.Float32)
            return;
        int rowsOfPiece = Math.Max(1, ColumnsOfItem / _columns);
        for (int row = 0; row < count; row += rowsOfPiece)
            _pieces.Add(new Piece(first, count, row, Math.Min(rowsOfPiece, count - row)));
    }

    /// <summary>Converts all rows added.</summary>
    public void Run()
    {
        // What is little work is done here rather than handed out.
        if (_pieces.Count * (long)_columns > ColumnsOfItem)
        {
            pool.Run(this, _pieces.Count);
            return;
        }

        for (int piece = 0; piece < _pieces.Count; piece++)
            Execute(piece, thread: 0);
    }

    /// <summary>A group that has been added.</summary>
    public RowGroup Group(int first, int count) => new(_to + first, _packed + (first * _rowBytes), _rowBytes, count);

    public override void Execute(int item, int thread)
    {
        Piece piece = _pieces[item];
        for (int row = piece.FirstRow; row < piece.FirstRow + piece.Rows; row++)
        {
            float* from = _rows[piece.Group + row];
            if (_form == RowForm.Rounded)
            {
                RowRounding.ToBFloat16(from, _columns, _to[piece.Group + row]);
                continue;
            }

            (int first, int height) = RowPacking.TileOf(row, piece.RowsOfGroup);
            byte* tile = _packed + ((piece.Group + first) * _rowBytes);
            if (_form == RowForm.BFloat16)
            {
                RowRounding.PackBFloat16(
                    from, _columns, tile + ((row - first) * RowPacking.BFloat16RecordBytes), height * RowPacking.BFloat16RecordBytes);
                continue;
            }

            Int8Rows.Pack(
                from, _columns, (int)(_rowBytes / RowPacking.Int8RecordBytes), OffsetOf(_form), _form == RowForm.Int8Offset32,
                tile + ((row - first) * RowPacking.Int8RecordBytes), height * RowPacking.Int8RecordBytes);
        }
    }

    public void Dispose()
    {
        _memory.Dispose();
        _pointers.Dispose();
    }

    private static long RowBytesOf(RowForm form, int columns)
    {
        int blocks = (columns + RowPacking.BlockColumns - 1) / RowPacking.BlockColumns;
        return form switch
        {
            RowForm.Float32 => 0,
            RowForm.Rounded => CpuActivation.StrideOf(columns) * (long)sizeof(float),
            RowForm.BFloat16 => blocks * (long)RowPacking.BFloat16RecordBytes,
            _ => QuantisedFormat.SuperBlocksOf(columns) * (long)(QuantisedFormat.Blocks * RowPacking.Int8RecordBytes),
        };
    }

    private static int OffsetOf(RowForm form) => form switch
    {
        RowForm.Int8Offset8 => 8,
        RowForm.Int8Offset32 => 32,
        RowForm.Int8Offset128 => 128,
        _ => 0,
    };

    /// <summary>Some rows of a group.</summary>
    private readonly record struct Piece(int Group, int RowsOfGroup, int FirstRow, int Rows);
}
