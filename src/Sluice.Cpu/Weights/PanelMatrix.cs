using Sluice.Core;

namespace Sluice.Cpu.Weights;

/// <summary>
/// Weights of one type packed into panels of 32 outputs, [panels, columns, 32]: what a product streams through, front to back.
/// The last panel's missing outputs are zero, and so is the column added to an odd number of them. See <see cref="IWeightFormat"/>
/// for how the numbers of a panel are interleaved, <see cref="QuantisedFormat"/> for those that have factors of their own.
/// </summary>
internal sealed unsafe class PanelMatrix
{
    /// <summary>Outputs of a panel.</summary>
    public const int PanelOutputs = 32;

    public PanelMatrix(DType type, int outputs, int columns, int scaleBlock, byte* data, float* scales)
    {
        Type = type;
        Outputs = outputs;
        Columns = columns;
        ScaleBlock = scaleBlock;
        Data = data;
        Scales = scales;
    }

    public DType Type { get; }

    /// <summary>Outputs, without padding.</summary>
    public int Outputs { get; }

    public int Columns { get; }

    /// <summary>Columns that share a scale; 0 when the type has none.</summary>
    public int ScaleBlock { get; }

    public byte* Data { get; }

    /// <summary>[panels, scale blocks, 32], or null.</summary>
    public float* Scales { get; }

    /// <summary>The scales of a panel's outputs, [32], for a column.</summary>
    public float* ScalesOf(int panel, int column) => Scales + (panel * PanelScales) + ((long)column / ScaleBlock * PanelOutputs);

    public int Panels => PanelsOf(Outputs);

    public long PanelBytes => BytesOfPanel(Type, Columns);

    /// <summary>Floats of a panel's scales.</summary>
    public long PanelScales => PanelOutputs * (long)BlocksOf(Columns, ScaleBlock);

    /// <summary>Memory taken, scales and padding included.</summary>
    public long Bytes => Panels * (PanelBytes + (PanelScales * sizeof(float)));

    /// <summary>Bytes of a stored matrix once it is packed.</summary>
    public static long BytesOf(DType stored, int outputs, int columns, int scaleBlock, ActivationPrecision precision)
    {
        DType type = QuantisedFormat.PackedType(stored, precision);
        int block = type == DType.F8E4M3 && scaleBlock == 0 ? columns + (columns & 1) : scaleBlock;
        return PanelsOf(outputs) * (BytesOfPanel(type, columns) + (PanelOutputs * (long)BlocksOf(columns, type == DType.F8E4M3 ? block : 0) * sizeof(float)));
    }

    public static int PanelsOf(int outputs) => (outputs + PanelOutputs - 1) / PanelOutputs;

    public static long BytesOfPanel(DType type, int columns) => type.IsBlocked()
        ? 2 * BytesOfStrip(type, columns)
        : PanelOutputs * (long)((columns + 1) & ~1) * type.Size();

    /// <summary>Bytes of half a panel of quantised weights.</summary>
    public static long BytesOfStrip(DType type, int columns) =>
        QuantisedFormat.SuperBlocksOf(columns) * (long)QuantisedFormat.Of(type).SuperBytes;

    public static int BlocksOf(int columns, int scaleBlock) => scaleBlock == 0 ? 0 : (columns + scaleBlock - 1) / scaleBlock;

    /// <summary>Decodes the weights of one output, [columns]: an embedding that is also an output head.</summary>
    public void DecodeOutput(int output, Span<float> destination)
    {
        int panel = output / PanelOutputs;
        int slot = output % PanelOutputs;
        byte* data = Data + (panel * PanelBytes);
        if (Type.IsBlocked())
        {
            QuantisedStrip.Decode(
                QuantisedFormat.Of(Type), data + (slot / QuantisedFormat.StripOutputs * BytesOfStrip(Type, Columns)),
                slot % QuantisedFormat.StripOutputs, destination);
            return;
        }

        (int pairBytes, int columnBytes, int at) = Type switch
        {
            DType.F32 => (256, 128, 4 * slot),
            DType.BF16 => (128, -2, (4 * slot) + 2),
            DType.F8E4M3 => (64, 8, (slot % 16 / 4 * 16) + (slot % 4 * 2) + (slot / 16)),
            _ => (128, 64, (4 * (slot % 16)) + (2 * (slot / 16))),
        };

        for (int c = 0; c < destination.Length; c++)
        {
            byte* weight = data + (c / 2 * (long)pairBytes) + (c % 2 * columnBytes) + at;
            destination[c] = Type switch
            {
                DType.F32 => *(float*)weight,
                DType.BF16 => BitConverter.Int32BitsToSingle(*(ushort*)weight << 16),
                DType.F16 => (float)*(Half*)weight,
                _ => StoredNumbers.FromF8E4M3(*weight),
            };
        }

        if (ScaleBlock == 0)
            return;
        float* scales = Scales + (panel * PanelScales) + slot;
        for (int c = 0; c < destination.Length; c++)
            destination[c] *= scales[c / ScaleBlock * PanelOutputs];
    }
}
