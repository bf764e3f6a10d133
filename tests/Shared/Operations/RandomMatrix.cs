using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Tests.Operations;

/// <summary>A stored matrix of random finite numbers, about the size of weights, with scales where its type has them.</summary>
internal sealed class RandomMatrix : MatrixSource
{
    private readonly byte[] _bytes;
    private readonly float[] _scales;
    private readonly int _scaleBlock;

    public RandomMatrix(Random random, DType type, int rows, int columns, int scaleBlock = 0)
        : base("random", type, rows, columns)
    {
        _scaleBlock = scaleBlock;
        _bytes = new byte[rows * columns * type.Size()];
        for (int i = 0; i < rows * columns; i++)
            Write(random, type, _bytes.AsSpan(i * type.Size()));
        int blocks = scaleBlock == 0 ? 0 : (columns + scaleBlock - 1) / scaleBlock;
        _scales = [.. Enumerable.Range(0, rows * blocks).Select(_ => 0.01f + random.NextSingle())];
    }

    public override int ScaleBlock => _scaleBlock;

    /// <summary>A random type that weights may have.</summary>
    public static RandomMatrix OfAnyType(Random random, int rows, int columns)
    {
        DType type = random.Next(5) switch { 0 => DType.F32, 1 => DType.F16, 2 => DType.F8E4M3, _ => DType.BF16 };
        return new RandomMatrix(random, type, rows, columns, type == DType.F8E4M3 ? 2 * random.Next(0, 70) : 0);
    }

    public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch)
    {
        // Sometimes a view, sometimes the scratch, as real sources do.
        ReadOnlySpan<byte> stored = _bytes.AsSpan(row * RowBytes, RowBytes);
        if (row % 2 == 0)
            return stored;
        stored.CopyTo(scratch);
        return scratch[..RowBytes];
    }

    public override void RowScales(int row, Span<float> scales) =>
        _scales.AsSpan(row * scales.Length, scales.Length).CopyTo(scales);

    private static void Write(Random random, DType type, Span<byte> to)
    {
        float value = (random.NextSingle() - 0.5f) * (random.Next(20) == 0 ? 1e-6f : 1f);
        switch (type)
        {
            case DType.F32:
                MemoryMarshal.Write(to, value);
                break;
            case DType.F16:
                MemoryMarshal.Write(to, (Half)value);
                break;
            case DType.BF16:
                MemoryMarshal.Write(to, StoredNumbers.ToBF16(value));
                break;
            default:
                to[0] = StoredNumbers.ToF8E4M3(value * 4);
                break;
        }
    }
}
