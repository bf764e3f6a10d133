using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Sluice.Core;

/// <summary>
/// A stored matrix [rows, columns] as a backend reads it while it packs its own copy: row by row, in the stored type. Views
/// re-order or restrict rows without copying, so that re-packing a checkpoint's layout costs no second pass and no memory.
/// Implementations are safe to read from many threads at once.
/// </summary>
public abstract class MatrixSource
{
    /// <summary>Creates a source; <paramref name="name"/> is the tensor's name, for messages.</summary>
    protected MatrixSource(string name, DType type, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        Name = name;
        Type = type;
        Rows = rows;
        Columns = columns;
    }

    /// <summary>The tensor's name, for messages.</summary>
    public string Name { get; }

    /// <summary>How elements are stored: F32, F16, BF16, F8E4M3 or in blocks (<see cref="DTypes.IsBlocked"/>).</summary>
    public DType Type { get; }

    /// <summary>Output features.</summary>
    public int Rows { get; }

    /// <summary>Input features.</summary>
    public int Columns { get; }

    /// <summary>Columns that share one scale, or 0 when the matrix has no scales. Only F8E4M3 has any.</summary>
    public virtual int ScaleBlock => 0;

    /// <summary>Stored bytes of all rows, without scales.</summary>
    public long ByteLength => checked((long)Rows * RowBytes);

    /// <summary>Stored bytes of a row.</summary>
    public int RowBytes => Type.RowBytes(Columns);

    /// <summary>
    /// The stored bytes of a row. Either a view of the file or <paramref name="scratch"/>, which must hold
    /// <see cref="RowBytes"/>; valid until the next call with the same scratch.
    /// </summary>
    public abstract ReadOnlySpan<byte> Row(int row, Span<byte> scratch);

    /// <summary>
    /// Fills <paramref name="scales"/> [ceil(columns / <see cref="ScaleBlock"/>)] with the factors of a row: element c is
    /// worth its stored value times <c>scales[c / ScaleBlock]</c>.
    /// </summary>
    public virtual void RowScales(int row, Span<float> scales) => throw new NotSupportedException($"{Name} has no scales");

    /// <summary>
    /// Writes what tells this matrix from every other of the same checkpoint: what it is called, how it is stored, which rows of what is stored it has.
    /// </summary>
    public virtual void WriteIdentity(IBufferWriter<byte> writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        WriteNumber(writer, Encoding.UTF8.GetByteCount(Name));
        Encoding.UTF8.GetBytes(Name, writer);
        WriteNumber(writer, (int)Type);
        WriteNumber(writer, Rows);
        WriteNumber(writer, Columns);
        WriteNumber(writer, ScaleBlock);
    }

    /// <summary>A view of chosen rows in a new order.</summary>
    public MatrixSource SelectRows(int[] rows) => new RowSelection(this, rows);

    /// <summary>A number of an identity.</summary>
    protected static void WriteNumber(IBufferWriter<byte> writer, long number)
    {
        ArgumentNullException.ThrowIfNull(writer);
        BinaryPrimitives.WriteInt64LittleEndian(writer.GetSpan(sizeof(long)), number);
        writer.Advance(sizeof(long));
    }

    private sealed class RowSelection(MatrixSource inner, int[] rows)
        : MatrixSource(inner.Name, inner.Type, rows.Length, inner.Columns)
    {
        public override int ScaleBlock => inner.ScaleBlock;

        public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch) => inner.Row(rows[row], scratch);

        public override void RowScales(int row, Span<float> scales) => inner.RowScales(rows[row], scales);

        /// <summary>The inner matrix, then each run of neighbouring rows: its first and how many.</summary>
        public override void WriteIdentity(IBufferWriter<byte> writer)
        {
            inner.WriteIdentity(writer);
            WriteNumber(writer, rows.Length);
            for (int first = 0; first < rows.Length;)
            {
                int end = first + 1;
                while (end < rows.Length && rows[end] == rows[end - 1] + 1)
                    end++;
                WriteNumber(writer, rows[first]);
                WriteNumber(writer, end - first);
                first = end;
            }
        }
    }
}
