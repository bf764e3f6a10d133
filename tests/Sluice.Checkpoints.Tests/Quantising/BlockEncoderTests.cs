using System.Buffers.Binary;
using Sluice.Checkpoints.Quantising;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests.Quantising;

public sealed class BlockEncoderTests
{
    /// <summary>Types with the largest rms error, relative to the rms of normal weights, that a good encoder makes, and a bad one's.</summary>
    public static TheoryData<DType, double> ErrorBounds => new()
    {
        { DType.Q8_0, 0.0058 },
        { DType.Q6_K, 0.0195 },
        { DType.Q5_K, 0.0385 },
        { DType.Q4_K, 0.0765 },
    };

    [Theory]
    [MemberData(nameof(ErrorBounds))]
    public void Normal_weights_lose_little(DType type, double bound)
    {
        float[] values = Normal(1 << 16, 0.02, seed: 5);
        Assert.InRange(RelativeError(values, Coded(type, values)), bound / 2, bound);
    }

    [Theory]
    [MemberData(nameof(ErrorBounds))]
    public void Weights_of_any_size_lose_as_little(DType type, double bound)
    {
        // The smallest factors are subnormal halves; there the bound is theirs.
        foreach (double size in (ReadOnlySpan<double>)[1e-2, 1, 1e3])
            Assert.InRange(RelativeError(Normal(1 << 13, size, seed: 6), Coded(type, Normal(1 << 13, size, seed: 6))), 0, bound * 1.1);
        Assert.All(Coded(type, Normal(256, 1e-20, seed: 7)), value => Assert.Equal(0f, value));
        Assert.All(Coded(type, new float[256]), value => Assert.Equal(0f, value));
        Assert.All(Coded(type, [.. Enumerable.Repeat(BlockEncoder.Largest, 256)]), value => Assert.InRange(value / BlockEncoder.Largest, 0.98f, 1.02f));
    }

    [Theory]
    [InlineData(DType.Q4_K)]
    [InlineData(DType.Q5_K)]
    [InlineData(DType.Q6_K)]
    public void Large_weights_lose_less_than_by_even_spacing(DType type)
    {
        float[] values = Normal(1 << 15, 1, seed: 8);
        for (int i = 0; i < values.Length; i += 37)
            values[i] *= 4; // outliers, as real weights have
        Assert.InRange(WeightedError(values, Coded(type, values)) / WeightedError(values, EvenlySpaced(type, values)), 0, 0.99); // although its factors are rounded
    }

    [Fact]
    public void Q8_0_keeps_what_it_can_hold()
    {
        Random random = new(9);
        byte[] block = new byte[34];
        for (int trial = 0; trial < 1000; trial++)
        {
            BinaryPrimitives.WriteHalfLittleEndian(block, (Half)(random.NextDouble() + 0.01));
            for (int i = 0; i < 32; i++)
                block[2 + i] = (byte)(sbyte)random.Next(-127, 128);
            block[2 + random.Next(32)] = 127;
            AssertKept(DType.Q8_0, block);
        }
    }

    [Theory]
    [InlineData(DType.Q4_K)]
    [InlineData(DType.Q5_K)]
    public void Offset_blocks_that_use_their_range_are_kept(DType type)
    {
        Random random = new(10);
        byte[] block = new byte[type.Block().Bytes];
        for (int trial = 0; trial < 300; trial++)
        {
            random.NextBytes(block);
            BinaryPrimitives.WriteHalfLittleEndian(block, (Half)(random.NextDouble() + 0.1));
            BinaryPrimitives.WriteHalfLittleEndian(block.AsSpan(2), (Half)(random.NextDouble() + 0.1));
            (block[4], block[8]) = (63, 63); // the first group has the largest factor and offset
            for (int group = 1; group < 4; group++)
                block[4 + group] |= 8; // no factor of 0
            for (int group = 4; group < 8; group++)
                block[8 + group] |= 1;
            int low = type == DType.Q4_K ? 16 : 48;
            for (int pair = 0; pair < 4; pair++)
                (block[low + (32 * pair)], block[low + (32 * pair) + 1]) = (0x00, 0xFF); // lowest and highest step of both groups
            if (type == DType.Q5_K)
                (block[16], block[17]) = (0x00, 0xFF);
            AssertKept(type, block);
        }
    }

    [Fact]
    public void Q6_K_blocks_that_use_their_range_are_kept()
    {
        Random random = new(11);
        byte[] block = new byte[210];
        for (int trial = 0; trial < 300; trial++)
        {
            random.NextBytes(block);
            BinaryPrimitives.WriteHalfLittleEndian(block.AsSpan(208), (Half)(random.NextDouble() + 0.1));
            for (int group = 0; group < 16; group++)
                block[192 + group] |= 1; // no factor of 0
            block[192] = 0x80;

            // Step -32 for the first element of each group, of which there are two to a run of 32.
            foreach (int at in (ReadOnlySpan<int>)[0, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176])
                block[at] = 0;
            AssertKept(DType.Q6_K, block);
        }
    }

    [Fact]
    public void Only_whole_blocks_of_known_types_are_encoded()
    {
        Assert.Throws<ArgumentException>(() => BlockEncoder.Encode(DType.Q2_K, new float[256], new byte[84]));
        Assert.Throws<ArgumentException>(() => BlockEncoder.Encode(DType.Q4_K, new float[255], new byte[144]));
        Assert.Throws<ArgumentException>(() => BlockEncoder.Encode(DType.Q4_K, new float[256], new byte[143]));
    }

    private static void AssertKept(DType type, byte[] block)
    {
        float[] values = new float[type.Block().Elements];
        StoredNumbers.Decode(type, block, values);
        Assert.Equal(values, Coded(type, values));
    }

    private static float[] Coded(DType type, float[] values)
    {
        byte[] stored = new byte[type.RowBytes(values.Length)];
        BlockEncoder.Encode(type, values, stored);
        float[] decoded = new float[values.Length];
        StoredNumbers.Decode(type, stored, decoded);
        return decoded;
    }

    /// <summary>The simplest encoding: each group's ends at its lowest and highest step, factors unrounded.</summary>
    private static float[] EvenlySpaced(DType type, float[] values)
    {
        (int group, int steps, bool offset) = type switch { DType.Q4_K => (32, 15, true), DType.Q5_K => (32, 31, true), _ => (16, 31, false) };
        float[] result = new float[values.Length];
        for (int first = 0; first < values.Length; first += group)
        {
            float[] part = values[first..(first + group)];
            float low = offset ? Math.Min(0, part.Min()) : 0;
            float spacing = (offset ? part.Max() - low : part.Max(Math.Abs)) / steps;
            for (int i = 0; i < group; i++)
                result[first + i] = low + (MathF.Round((part[i] - low) / spacing) * spacing);
        }

        return result;
    }

    private static double RelativeError(float[] values, float[] decoded) =>
        Math.Sqrt(values.Zip(decoded, (x, y) => (double)(x - y) * (x - y)).Sum() / values.Sum(x => (double)x * x));

    private static double WeightedError(float[] values, float[] decoded) =>
        values.Zip(decoded, (x, y) => (1 + Math.Abs((double)x)) * (x - y) * (x - y)).Sum();

    private static float[] Normal(int count, double deviation, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(deviation * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(Math.Tau * random.NextDouble())))];
    }
}
