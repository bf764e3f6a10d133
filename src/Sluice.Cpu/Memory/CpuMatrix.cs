using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Memory;

/// <summary>
/// A matrix as its use wants it: panels for products, stored rows for look-ups. An embedding that is also the output head has panels
/// alone: a row gathered from them touches as many cache lines as it has columns, which is little for one row a token.
/// </summary>
internal sealed unsafe class CpuMatrix : Matrix
{
    private CpuMatrix(int rows, int columns, long bytes, PanelMatrix[] parts, StoredRows[] stored)
        : base(rows, columns, bytes)
    {
        Parts = parts;
        Stored = stored;
    }

    /// <summary>Panels, stacked by outputs; empty when only rows are looked up.</summary>
    public PanelMatrix[] Parts { get; }

    private StoredRows[] Stored { get; }

    public static CpuMatrix Load(MatrixUse use, IReadOnlyList<MatrixSource> parts, WeightMemory memory, ActivationPrecision precision)
    {
        if (parts.Count == 0)
            throw new ArgumentException("a matrix needs at least one part", nameof(parts));
        int rows = 0;
        foreach (MatrixSource part in parts)
        {
            PanelPacker.Check(part);
            if (part.Columns != parts[0].Columns)
                throw new BackendException($"{part.Name}: expected {parts[0].Columns} columns as in {parts[0].Name}, found {part.Columns}");
            rows = checked(rows + part.Rows);
        }

        int columns = parts[0].Columns;
        if (use == MatrixUse.Embedding)
        {
            StoredRows[] stored = [.. parts.Select(part => StoredRows.Load(part, memory))];
            return new CpuMatrix(rows, columns, stored.Sum(part => part.Bytes), [], stored);
        }

        PanelMatrix[] panels = PanelPacker.Pack(parts, memory, precision);
        return new CpuMatrix(rows, columns, panels.Sum(part => part.Bytes), panels, []);
    }

    /// <summary>Decodes a row, [columns].</summary>
    public void DecodeRow(int row, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Rows, nameof(row));
        foreach (StoredRows part in Stored)
        {
            if (row < part.Rows)
            {
                part.Decode(row, destination);
                return;
            }

            row -= part.Rows;
        }

        foreach (PanelMatrix part in Parts)
        {
            if (row < part.Outputs)
            {
                part.DecodeOutput(row, destination);
                return;
            }

            row -= part.Outputs;
        }
    }
}
