using Sluice.Core;

namespace Sluice.Bench.Micro;

/// <summary>Weights whose values do not matter, only their type and number: every row is the same.</summary>
internal sealed class RandomWeights : MatrixSource
{
    private readonly byte[] _row;

    public RandomWeights(DType type, int rows, int columns)
        : base("weights", type, rows, columns)
    {
        _row = new byte[RowBytes];
        Random random = new(1);
        for (int c = 0; c < columns; c++)
        {
            float value = random.NextSingle() - 0.5f;
            Span<byte> to = _row.AsSpan(c * type.Size());
            switch (type)
            {
                case DType.F32:
                    BitConverter.TryWriteBytes(to, value);
                    break;
                case DType.F16:
                    BitConverter.TryWriteBytes(to, (Half)value);
                    break;
                case DType.BF16:
                    BitConverter.TryWriteBytes(to, StoredNumbers.ToBF16(value));
                    break;
                default:
                    to[0] = StoredNumbers.ToF8E4M3(value);
                    break;
            }
        }
    }

    public override int ScaleBlock => Type == DType.F8E4M3 ? 128 : 0;

    public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch) => _row;

    public override void RowScales(int row, Span<float> scales) => scales.Fill(0.5f);
}
