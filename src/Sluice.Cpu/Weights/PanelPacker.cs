using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Cpu.Weights;

/// <summary>Packs stored rows into panels, 32 rows at a time, so that loading needs little more memory than the result.</summary>
internal static unsafe class PanelPacker
{
    /// <summary>
    /// Packs <paramref name="parts"/>, stacked by rows. Neighbouring parts of the same type and scale block share panels; others
    /// become matrices of their own.
    /// </summary>
    public static PanelMatrix[] Pack(IReadOnlyList<MatrixSource> parts, WeightMemory memory, ActivationPrecision precision)
    {
        List<PanelMatrix> packed = [];
        for (int first = 0; first < parts.Count;)
        {
            int end = first + 1;
            while (end < parts.Count && parts[end].Type == parts[first].Type && parts[end].ScaleBlock == parts[first].ScaleBlock)
                end++;
            packed.Add(PackSame(new StackedRows([.. parts.Skip(first).Take(end - first)]), memory, precision));
            first = end;
        }

        return [.. packed];
    }

    /// <summary>
    /// Packs an expert's gate and up so that panels alternate, gate 0, up 0, gate 1...: whoever computes 32 elements of the
    /// intermediate reads two neighbouring panels.
    /// </summary>
    public static PanelMatrix PackInterleaved(MatrixSource gate, MatrixSource up, WeightMemory memory, ActivationPrecision precision)
    {
        Check(gate);
        Check(up);
        return PackSame(new InterleavedRows(gate, up), memory, precision);
    }

    private static PanelMatrix PackSame(RowSequence rows, WeightMemory memory, ActivationPrecision precision)
    {
        int columns = rows.Columns;
        DType type = QuantisedFormat.PackedType(rows.Type, precision);
        if (type.IsBlocked())
            return PackQuantised(rows, type, memory);
        int block = type == DType.F8E4M3 && rows.ScaleBlock == 0 ? columns + (columns & 1) : rows.ScaleBlock;
        int blocks = PanelMatrix.BlocksOf(columns, block);
        int panels = PanelMatrix.PanelsOf(rows.Count);
        long panelBytes = PanelMatrix.BytesOfPanel(type, columns);
        long scaleBytes = checked(panels * (long)blocks * PanelMatrix.PanelOutputs * sizeof(float));
        byte* data = memory.Take(rows.Kind, type, rows.Sources, checked((panels * panelBytes) + scaleBytes), out bool isPacked);

        // Panels are whole cache lines, and so scales begin with one.
        float* scales = blocks == 0 ? null : (float*)(data + (panels * panelBytes));
        PanelMatrix matrix = new(type, rows.Count, columns, block, data, scales);
        if (isPacked)
            return matrix;

        // Rows lie an odd number of cache lines apart, so that 32 of them do not compete for the same places in the cache.
        int rowBytes = checked(columns * type.Size());
        int stride = (((rowBytes + 63 + 16) / 64) | 1) * 64;
        byte* staged = (byte*)NativeMemory.AlignedAlloc((nuint)stride * PanelMatrix.PanelOutputs, 64);
        try
        {
            float[] rowScales = new float[blocks];
            for (int panel = 0; panel < panels; panel++)
            {
                for (int slot = 0; slot < PanelMatrix.PanelOutputs; slot++)
                {
                    Span<byte> row = new(staged + (slot * (long)stride), stride);
                    rows.Read((panel * PanelMatrix.PanelOutputs) + slot, type, row[..rowBytes]);
                    row[rowBytes..].Clear();
                    if (blocks == 0)
                        continue;
                    rows.ReadScales((panel * PanelMatrix.PanelOutputs) + slot, rowScales);
                    for (int b = 0; b < blocks; b++)
                        scales[(((panel * (long)blocks) + b) * PanelMatrix.PanelOutputs) + slot] = rowScales[b];
                }

                Interleave(type, staged, stride, (columns + 1) & ~1, data + (panel * panelBytes));
            }
        }
        finally
        {
            NativeMemory.AlignedFree(staged);
        }

        return matrix;
    }

    /// <summary>Strips of quantised weights, as many bits as they have.</summary>
    private static PanelMatrix PackQuantised(RowSequence rows, DType type, WeightMemory memory)
    {
        QuantisedFormat format = QuantisedFormat.Of(type);
        int panels = PanelMatrix.PanelsOf(rows.Count);
        long stripBytes = PanelMatrix.BytesOfStrip(type, rows.Columns);
        byte* data = memory.Take(rows.Kind, type, rows.Sources, checked(2 * panels * stripBytes), out bool isPacked);
        PanelMatrix matrix = new(type, rows.Count, rows.Columns, 0, data, null);
        if (isPacked)
            return matrix;
        byte[] row = new byte[rows.Type.RowBytes(rows.Columns)];
        int superBytes = rows.Type.Block().Bytes * (QuantisedFormat.SuperColumns / rows.Type.Block().Elements);
        BlockParts parts = new();
        for (int output = 0; output < rows.Count; output++)
        {
            rows.Read(output, rows.Type, row);
            byte* super = data + (output / QuantisedFormat.StripOutputs * stripBytes);
            for (int at = 0; at < row.Length; at += superBytes, super += format.SuperBytes)
            {
                parts.Read(rows.Type, row.AsSpan(at, Math.Min(superBytes, row.Length - at)));
                QuantisedStrip.Write(format, parts, output % QuantisedFormat.StripOutputs, super);
            }
        }

        return matrix;
    }

    /// <summary>Refuses what no panel can hold.</summary>
    public static void Check(MatrixSource part)
    {
        if (!part.Type.IsWeightType())
            throw new BackendException($"{part.Name}: expected weights in F32, F16, BF16, F8E4M3 or GGUF's blocks, found {part.Type}");
        if ((part.ScaleBlock & 1) != 0)
            throw new BackendException($"{part.Name}: expected an even number of columns in a scale block, found {part.ScaleBlock}");
        if (part.ScaleBlock != 0 && part.Type != DType.F8E4M3)
            throw new BackendException($"{part.Name}: expected scales on F8E4M3 alone, found them on {part.Type}");
    }

    private static void Interleave(DType type, byte* staged, int stride, int columns, byte* panel)
    {
        switch (type.Size())
        {
            case 4:
                PanelInterleave.Words32(staged, stride, columns, (uint*)panel);
                break;
            case 2 when type == DType.BF16:
                PanelInterleave.ColumnPairs16(staged, stride, columns, (uint*)panel);
                break;
            case 2:
                PanelInterleave.Words16(staged, stride, columns, (uint*)panel);
                break;
            default:
                PanelInterleave.Bytes(staged, stride, columns, (ushort*)panel);
                break;
        }
    }

    /// <summary>The rows that fill the slots of panels, one after another.</summary>
    private abstract class RowSequence(PieceKind kind, MatrixSource[] sources, int count)
    {
        private byte[]? _stored;
        private float[]? _values;

        public PieceKind Kind => kind;

        /// <summary>Of one type, number of columns and scale block.</summary>
        public MatrixSource[] Sources => sources;

        public DType Type => sources[0].Type;

        public int Columns => sources[0].Columns;

        public int ScaleBlock => sources[0].ScaleBlock;

        public int Count => count;

        /// <summary>A row in its own type, or decoded to F32 or BF16; zeros for one that only pads.</summary>
        public void Read(int index, DType type, Span<byte> destination)
        {
            if (type != Type)
            {
                ReadDecoded(index, type, destination);
                return;
            }

            (MatrixSource? source, int row) = Find(index);
            if (source is null)
            {
                destination.Clear();
                return;
            }

            ReadOnlySpan<byte> stored = source.Row(row, destination);
            if (!stored.Overlaps(destination))
                stored.CopyTo(destination);
        }

        private void ReadDecoded(int index, DType type, Span<byte> destination)
        {
            _stored ??= new byte[Type.RowBytes(Columns)];
            _values ??= new float[Columns];
            Read(index, Type, _stored);
            StoredNumbers.Decode(Type, _stored, _values);
            if (type == DType.F32)
            {
                MemoryMarshal.AsBytes<float>(_values).CopyTo(destination);
                return;
            }

            Span<ushort> words = MemoryMarshal.Cast<byte, ushort>(destination);
            for (int c = 0; c < Columns; c++)
                words[c] = StoredNumbers.ToBF16(_values[c]);
        }

        /// <summary>The scales of a row; ones where there are none.</summary>
        public void ReadScales(int index, Span<float> destination)
        {
            (MatrixSource? source, int row) = Find(index);
            if (source is null || source.ScaleBlock == 0)
                destination.Fill(1);
            else
                source.RowScales(row, destination);
        }

        protected abstract (MatrixSource? Source, int Row) Find(int index);
    }

    private sealed class StackedRows : RowSequence
    {
        public StackedRows(MatrixSource[] parts)
            : base(PieceKind.Panels, parts, parts.Sum(part => part.Rows))
        {
        }

        protected override (MatrixSource? Source, int Row) Find(int index)
        {
            foreach (MatrixSource part in Sources)
            {
                if (index < part.Rows)
                    return (part, index);
                index -= part.Rows;
            }

            return (null, 0);
        }
    }

    private sealed class InterleavedRows : RowSequence
    {
        public InterleavedRows(MatrixSource gate, MatrixSource up)
            : base(PieceKind.InterleavedPanels, [gate, up], 2 * PanelMatrix.PanelOutputs * PanelMatrix.PanelsOf(gate.Rows))
        {
        }

        protected override (MatrixSource? Source, int Row) Find(int index)
        {
            int panel = index / PanelMatrix.PanelOutputs;
            int row = (panel / 2 * PanelMatrix.PanelOutputs) + (index % PanelMatrix.PanelOutputs);
            MatrixSource source = Sources[panel % 2];
            return row < source.Rows ? (source, row) : (null, 0);
        }
    }
}
