using Sluice.Core;

namespace Sluice.Backends.Reference;

/// <summary>Activations in a managed array; a view of columns is the same array with another start.</summary>
internal sealed class ReferenceActivation : Activation
{
    private readonly float[] _values;
    private readonly int _stride;
    private readonly int _start;

    public ReferenceActivation(int rows, int width)
        : this(new float[checked(rows * width)], width, 0, rows, width)
    {
    }

    private ReferenceActivation(float[] values, int stride, int start, int rows, int width)
        : base(rows, width)
    {
        _values = values;
        _stride = stride;
        _start = start;
    }

    public Span<float> this[int row] => _values.AsSpan((row * _stride) + _start, Width);

    public override Activation Columns(int start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Width - start);
        return new ReferenceActivation(_values, _stride, _start + start, Rows, count);
    }
}

/// <summary>A matrix as stored: the bytes of each row, its type and its scales, decoded whenever a row is used.</summary>
internal sealed class ReferenceMatrix : Matrix
{
    private readonly StoredRow[] _rows;

    private ReferenceMatrix(StoredRow[] rows, int columns, long bytes)
        : base(rows.Length, columns, bytes) => _rows = rows;

    public static ReferenceMatrix Load(IReadOnlyList<MatrixSource> parts)
    {
        if (parts.Count == 0)
            throw new ArgumentException("a matrix needs at least one part", nameof(parts));
        int columns = parts[0].Columns;
        List<StoredRow> rows = [];
        long bytes = 0;
        foreach (MatrixSource part in parts)
        {
            if (part.Columns != columns)
                throw new ArgumentException($"{part.Name}: expected {columns} columns as in {parts[0].Name}, found {part.Columns}", nameof(parts));
            if (!part.Type.IsWeightType())
                throw new ArgumentException($"{part.Name}: expected F32, F16, BF16 or F8E4M3, found {part.Type}", nameof(parts));
            byte[] scratch = new byte[part.RowBytes];
            for (int row = 0; row < part.Rows; row++)
            {
                float[] scales = part.ScaleBlock == 0 ? [] : new float[(columns + part.ScaleBlock - 1) / part.ScaleBlock];
                if (scales.Length > 0)
                    part.RowScales(row, scales);
                rows.Add(new StoredRow(part.Type, part.Row(row, scratch).ToArray(), scales, part.ScaleBlock));
                bytes += part.RowBytes + (scales.Length * sizeof(float));
            }
        }

        return new ReferenceMatrix([.. rows], columns, bytes);
    }

    /// <summary>Decodes one row, [columns], to float32: the stored value, times its block's scale if there is one.</summary>
    public void DecodeRow(int row, Span<float> values)
    {
        (DType type, byte[] bytes, float[] scales, int block) = _rows[row];
        StoredNumbers.Decode(type, bytes, values);
        if (block == 0)
            return;
        for (int c = 0; c < values.Length; c++)
            values[c] *= scales[c / block];
    }

    private readonly record struct StoredRow(DType Type, byte[] Bytes, float[] Scales, int ScaleBlock);
}

/// <summary>A vector of weights.</summary>
internal sealed class ReferenceVector(float[] values) : Vector(values.Length)
{
    public ReadOnlySpan<float> Values => values;
}

/// <summary>The experts of a layer: gate over up, [2 * intermediate, hidden], and down, [hidden, intermediate].</summary>
internal sealed class ReferenceExperts((ReferenceMatrix GateUp, ReferenceMatrix Down)[] experts)
    : ExpertWeights(experts.Length, experts.Sum(e => e.GateUp.Bytes + e.Down.Bytes))
{
    public (ReferenceMatrix GateUp, ReferenceMatrix Down) this[int expert] => experts[expert];
}

/// <summary>Chosen experts and their weights, [rows, topK].</summary>
internal sealed class ReferenceRouting(int rows, int topK) : Routing(rows, topK)
{
    private readonly int[] _experts = new int[checked(rows * topK)];
    private readonly float[] _weights = new float[checked(rows * topK)];

    public Span<int> Experts(int row) => _experts.AsSpan(row * TopK, TopK);

    public Span<float> Weights(int row) => _weights.AsSpan(row * TopK, TopK);
}
