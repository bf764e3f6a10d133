using Sluice.Core;

namespace Sluice.Checkpoints.Quantising;

/// <summary>
/// A tensor as it will be written: either numbers, or rows out of stored matrices that lie one above the other.
/// </summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Shape">Its dimensions, row-major.</param>
/// <param name="Numbers">Its elements; null for rows.</param>
/// <param name="Parts">The matrices its rows come from.</param>
/// <param name="Order">For each row, which row of the stacked parts it is; null for as they are.</param>
/// <param name="Pieces">For each of so many pieces of a row, which stored piece it is; null for as they are.</param>
internal sealed record AssembledTensor(
    string Name, IReadOnlyList<int> Shape, float[]? Numbers, IReadOnlyList<MatrixSource> Parts, int[]? Order = null, int[]? Pieces = null)
{
    /// <summary>Elements of a row.</summary>
    internal int Columns => Shape[^1];

    /// <summary>Rows.</summary>
    internal int Rows => Numbers is not null ? Numbers.Length / Columns : Order?.Length ?? Parts.Sum(part => part.Rows);

    /// <summary>Bytes of scratch that reading a row takes.</summary>
    internal int ScratchBytes => Parts.Count == 0 ? 0 : Parts.Max(part => part.RowBytes);

    /// <summary>Decodes a row; <paramref name="scratch"/> is for as long a row as any part has.</summary>
    internal void Decode(int row, Span<float> values, byte[] scratch)
    {
        if (Numbers is not null)
        {
            Numbers.AsSpan(row * Columns, Columns).CopyTo(values);
            return;
        }

        (MatrixSource part, int index) = Find(row);
        StoredNumbers.Decode(part.Type, part.Row(index, scratch), values);
        if (part.ScaleBlock > 0)
        {
            float[] scales = new float[(Columns + part.ScaleBlock - 1) / part.ScaleBlock];
            part.RowScales(index, scales);
            for (int c = 0; c < values.Length; c++)
                values[c] *= scales[c / part.ScaleBlock];
        }

        if (Pieces is not { } pieces)
            return;
        float[] stored = values.ToArray();
        int width = Columns / pieces.Length;
        for (int i = 0; i < pieces.Length; i++)
            stored.AsSpan(pieces[i] * width, width).CopyTo(values[(i * width)..]);
    }

    /// <summary>The stored bytes of a row that is wanted in the type it has; empty when it is not as stored.</summary>
    internal ReadOnlySpan<byte> StoredRow(int row, DType type, byte[] scratch)
    {
        if (Numbers is not null || Pieces is not null)
            return [];
        (MatrixSource part, int index) = Find(row);
        return part.Type == type && part.ScaleBlock == 0 ? part.Row(index, scratch) : [];
    }

    /// <summary>Checks a row that was decoded.</summary>
    /// <exception cref="CheckpointException">An element is no number, or its magnitude is above <paramref name="largest"/>.</exception>
    internal void RequireUpTo(float largest, int row, ReadOnlySpan<float> values)
    {
        for (int c = 0; c < values.Length; c++)
        {
            if (!(Math.Abs(values[c]) <= largest))
                throw new CheckpointException(FormattableString.Invariant($"{Name}: element [{row}, {c}] is {values[c]}; expected a finite number up to {largest}"));
        }
    }

    private (MatrixSource Part, int Row) Find(int row)
    {
        if (Order is not null)
            row = Order[row];

        // Experts are all of one height; others are few.
        if (Parts.Count > 4)
            return (Parts[row / Parts[0].Rows], row % Parts[0].Rows);
        int part = 0;
        while (row >= Parts[part].Rows)
            row -= Parts[part++].Rows;
        return (Parts[part], row);
    }
}
