using System.Runtime.Intrinsics;
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
    private readonly Scratch _distinct = new("rounded activations that groups share");
    private readonly List<Piece> _pieces = [];
    private RowForm _form;
    private float** _rows;
    private float** _to;
    private byte* _packed;
    private long _rowBytes;
    private int _columns;
    private SharedRows _shared;
    private byte* _sharedPacked;
    private bool _packsShared;

    /// <summary>Begins: rows are given by <see cref="Add"/>, then converted by <see cref="Run"/>.</summary>
    /// <param name="form">What they shall be.</param>
    /// <param name="rows">Pointers to all the rows.</param>
    /// <param name="count">Rows.</param>
    /// <param name="columns">Their columns.</param>
    /// <param name="shared">Which rows are the same, if some are: these are rounded to INT8 once and then copied.</param>
    public void Begin(RowForm form, float** rows, int count, int columns, SharedRows shared = default)
    {
        (_form, _columns) = (form, columns);
        _rows = rows;
        _pieces.Clear();
        _packed = null;
        _shared = default;
        _to = rows;
        _rowBytes = RowBytesOf(form, columns);
        if (form == RowForm.Float32)
            return;
        _packed = _memory.Take<byte>(count * _rowBytes);
        _shared = form is RowForm.Rounded or RowForm.BFloat16 or RowForm.BFloat16Amx || shared.Count >= count ? default : shared;
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
        for (int row = 0; row < count; row += RowsOfPiece)
            _pieces.Add(new Piece(first, count, row, Math.Min(RowsOfPiece, count - row)));
    }

    /// <summary>Converts all rows added.</summary>
    public void Run()
    {
        if (_shared.Count > 0)
        {
            _sharedPacked = _distinct.Take<byte>(_shared.Count * _rowBytes);
            _packsShared = true;
            Spread((_shared.Count + RowsOfPiece - 1) / RowsOfPiece);
            _packsShared = false;
        }

        Spread(_pieces.Count);
    }

    /// <summary>A group that has been added.</summary>
    public RowGroup Group(int first, int count) => new(_to + first, _packed + (first * _rowBytes), _rowBytes, count);

    public override void Execute(int item, int thread)
    {
        if (_packsShared)
        {
            int end = Math.Min(_shared.Count, (item + 1) * RowsOfPiece);
            for (int row = item * RowsOfPiece; row < end; row++)
                PackInt8(_shared.Rows[row], _sharedPacked + (row * _rowBytes), RowPacking.Int8RecordBytes);
            return;
        }

        Piece piece = _pieces[item];
        for (int row = piece.FirstRow; row < piece.FirstRow + piece.Rows; row++)
        {
            float* from = _rows[piece.Group + row];
            if (_form == RowForm.Rounded)
            {
                RowRounding.ToBFloat16(from, _columns, _to[piece.Group + row]);
                continue;
            }

            (int first, int height) = _form switch
            {
                RowForm.BFloat16 => RowPacking.TileOf(row, piece.RowsOfGroup),
                RowForm.BFloat16Amx => RowPacking.AmxTileOf(row, piece.RowsOfGroup),
                _ => RowPacking.Int8TileOf(row, piece.RowsOfGroup),
            };
            byte* tile = _packed + ((piece.Group + first) * _rowBytes);
            if (_form is RowForm.BFloat16 or RowForm.BFloat16Amx)
            {
                RowRounding.PackBFloat16(
                    from, _columns, tile + ((row - first) * RowPacking.BFloat16RecordBytes), height * RowPacking.BFloat16RecordBytes);
                continue;
            }

            byte* to = tile + ((row - first) * RowPacking.Int8RecordBytes);
            if (_shared.Count > 0)
                CopyRecords(_sharedPacked + (_shared.RowOf[piece.Group + row] * _rowBytes), to, height * RowPacking.Int8RecordBytes);
            else
                PackInt8(from, to, height * RowPacking.Int8RecordBytes);
        }
    }

    public void Dispose()
    {
        _memory.Dispose();
        _pointers.Dispose();
        _distinct.Dispose();
    }

    private int RowsOfPiece => Math.Max(1, ColumnsOfItem / _columns);

    /// <summary>Executes items here if they are little work, else on all threads.</summary>
    private void Spread(int items)
    {
        if (items * (long)_columns * RowsOfPiece > ColumnsOfItem)
        {
            pool.Run(this, items);
            return;
        }

        for (int item = 0; item < items; item++)
            Execute(item, thread: 0);
    }

    private void PackInt8(float* from, byte* to, nint stride) =>
        Int8Rows.Pack(
            from, _columns, (int)(_rowBytes / RowPacking.Int8RecordBytes), OffsetOf(_form), _form == RowForm.Int8Offset32, to, stride);

    /// <summary>A row's records, one after another, to where a tile has them.</summary>
    private void CopyRecords(byte* from, byte* to, nint stride)
    {
        for (byte* end = from + _rowBytes; from < end; from += RowPacking.Int8RecordBytes, to += stride)
        {
            Vector256.Store(Vector256.Load(from), to);
            Vector128.Store(Vector128.Load(from + 32), to + 32);
        }
    }

    private static long RowBytesOf(RowForm form, int columns)
    {
        return form switch
        {
            RowForm.Float32 => 0,
            RowForm.Rounded => CpuActivation.StrideOf(columns) * (long)sizeof(float),
            RowForm.BFloat16 or RowForm.BFloat16Amx => RowPacking.BFloat16RowBytes(columns),
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

    /// <summary>The rows that there are, and which of them each row of the groups is.</summary>
    public readonly struct SharedRows(float** rows, int count, int* rowOf)
    {
        public float** Rows => rows;

        public int Count => count;

        public int* RowOf => rowOf;
    }

    /// <summary>Some rows of a group.</summary>
    private readonly record struct Piece(int Group, int RowsOfGroup, int FirstRow, int Rows);
}
