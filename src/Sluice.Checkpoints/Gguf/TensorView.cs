using System.Buffers.Binary;
using Sluice.Core;

namespace Sluice.Checkpoints.Gguf;

/// <summary>A tensor whose rows are made out of stored ones when they are asked for, because the file has them in another form.</summary>
internal abstract class TensorView(int rowBytes)
{
    /// <summary>Stored bytes of a row of the file's tensor.</summary>
    internal delegate ReadOnlySpan<byte> StoredRow(int row);

    internal int RowBytes => rowBytes;

    /// <summary>A row as it appears: a view of the file, or <paramref name="scratch"/>, filled.</summary>
    internal abstract ReadOnlySpan<byte> Row(int row, Span<byte> scratch);

    /// <summary>Any range of the rows, one after another.</summary>
    internal ReadOnlySpan<byte> Bytes(long offset, int count, Span<byte> scratch)
    {
        if (count == rowBytes && offset % rowBytes == 0)
            return Row((int)(offset / rowBytes), scratch);
        byte[] whole = new byte[rowBytes];
        for (int done = 0; done < count;)
        {
            int skip = (int)((offset + done) % rowBytes);
            ReadOnlySpan<byte> row = Row((int)((offset + done) / rowBytes), whole)[skip..];
            row = row[..Math.Min(row.Length, count - done)];
            row.CopyTo(scratch[done..]);
            done += row.Length;
        }

        return scratch[..count];
    }

    /// <summary>Chosen rows in a new order.</summary>
    internal sealed class Rows(int rowBytes, int[] order, StoredRow stored) : TensorView(rowBytes)
    {
        internal override ReadOnlySpan<byte> Row(int row, Span<byte> scratch) => stored(order[row]);
    }

    /// <summary>Numbers in another order and of another value, as float32; all of them are one row.</summary>
    internal sealed class Numbers(DType type, int[] order, Func<float, float> change, StoredRow stored) : TensorView(order.Length * sizeof(float))
    {
        internal override ReadOnlySpan<byte> Row(int row, Span<byte> scratch)
        {
            float[] values = new float[order.Length];
            StoredNumbers.Decode(type, stored(0), values);
            for (int i = 0; i < order.Length; i++)
                BinaryPrimitives.WriteSingleLittleEndian(scratch[(i * sizeof(float))..], change(values[order[i]]));
            return scratch[..RowBytes];
        }
    }

    /// <summary>Columns in a new order of pieces that are whole blocks: the blocks move, and nothing is decoded.</summary>
    internal sealed class Pieces(int rowBytes, int[] order, StoredRow stored) : TensorView(rowBytes)
    {
        internal override ReadOnlySpan<byte> Row(int row, Span<byte> scratch)
        {
            int piece = RowBytes / order.Length;
            ReadOnlySpan<byte> from = stored(row);
            for (int i = 0; i < order.Length; i++)
                from.Slice(order[i] * piece, piece).CopyTo(scratch[(i * piece)..]);
            return scratch[..RowBytes];
        }
    }

    /// <summary>
    /// Columns in a new order of pieces that blocks lie across: decoded to binary16, whose rounding (2^-12) is far finer than that of any type
    /// with such blocks.
    /// </summary>
    internal sealed class DecodedPieces(DType type, int columns, int[] order, StoredRow stored, string name) : TensorView(columns * 2)
    {
        internal override ReadOnlySpan<byte> Row(int row, Span<byte> scratch)
        {
            float[] values = new float[columns];
            StoredNumbers.Decode(type, stored(row), values);
            int piece = columns / order.Length;
            for (int c = 0; c < columns; c++)
            {
                float value = values[(order[c / piece] * piece) + (c % piece)];
                var rounded = (Half)value;
                if (Half.IsInfinity(rounded))
                    throw new CheckpointException($"{name}: row {row} has an element of {value}; expected at most 65504");
                BinaryPrimitives.WriteHalfLittleEndian(scratch[(2 * c)..], rounded);
            }

            return scratch[..RowBytes];
        }
    }
}
