using Sluice.Core;

namespace Sluice.Tests.Operations;

/// <summary>Weights in blocks: random elements and small factors, the blocks' own factors such that numbers are of about the size 1.</summary>
internal sealed class RandomBlocks : MatrixSource
{
    private readonly byte[] _bytes;

    private RandomBlocks(DType type, int rows, int columns, byte[] bytes)
        : base("random blocks", type, rows, columns) => _bytes = bytes;

    public static RandomBlocks Of(Random random, DType type, int rows, int columns)
    {
        byte[] bytes = new byte[rows * type.RowBytes(columns)];
        random.NextBytes(bytes);
        return Of(random, type, rows, columns, bytes);
    }

    /// <summary>The same with one byte for all elements and small factors.</summary>
    public static RandomBlocks OfOne(Random random, DType type, int rows, int columns, byte element)
    {
        byte[] bytes = new byte[rows * type.RowBytes(columns)];
        Array.Fill(bytes, element);
        return Of(random, type, rows, columns, bytes);
    }

    private static RandomBlocks Of(Random random, DType type, int rows, int columns, byte[] bytes)
    {
        int blockBytes = type.Block().Bytes;
        int[] halves = type switch
        {
            DType.Q2_K => [80, 82],
            DType.Q3_K => [108],
            DType.Q4_K or DType.Q5_K => [0, 2],
            DType.Q6_K => [208],
            DType.MXFP4 => [],
            _ => [0],
        };
        for (int block = 0; block < bytes.Length; block += blockBytes)
        {
            foreach (int half in halves)
                BitConverter.TryWriteBytes(bytes.AsSpan(block + half), (Half)((random.NextDouble() - 0.5) / 64));
            if (type == DType.MXFP4)
                bytes[block] = (byte)random.Next(118, 126);
        }

        return new RandomBlocks(type, rows, columns, bytes);
    }

    public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch) => _bytes.AsSpan(row * RowBytes, RowBytes);
}
