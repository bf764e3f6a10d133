using System.Numerics;
using Sluice.Core;

namespace Sluice.Backends.Tests;

/// <summary>
/// Block types against a second decoding that takes each element's bits one by one out of the block, by position, and computes in
/// float64: all products are exact there and in float32, so the results must be equal to the bit.
/// </summary>
public sealed class BlockDecodingTests
{
    private const int Blocks = 400;

    public static TheoryData<DType> Types =>
    [
        DType.Q8_0, DType.Q4_0, DType.Q2_K, DType.Q3_K, DType.Q4_K, DType.Q5_K, DType.Q6_K, DType.IQ4_NL, DType.IQ4_XS, DType.MXFP4,
    ];

    [Theory]
    [MemberData(nameof(Types))]
    public void Random_bytes_decode_as_the_layout_says(DType type)
    {
        Random random = new(20261126 + (int)type);
        (int elements, int bytes) = type.Block();
        byte[] stored = new byte[Blocks * bytes];
        random.NextBytes(stored);
        float[] values = new float[Blocks * elements];
        StoredNumbers.Decode(type, stored, values);
        for (int block = 0; block < Blocks; block++)
        {
            Bits bits = new(stored.AsSpan(block * bytes, bytes));
            for (int i = 0; i < elements; i++)
            {
                float expected = (float)Element(type, bits, i);
                float found = values[(block * elements) + i];
                Assert.True(
                    BitConverter.SingleToInt32Bits(expected) == BitConverter.SingleToInt32Bits(found) || (float.IsNaN(expected) && float.IsNaN(found)),
                    $"{type}, block {block}, element {i}: expected {expected:R}, found {found:R}");
            }
        }
    }

    [Fact]
    public void Known_blocks_have_known_values()
    {
        float[] values = new float[32];
        byte[] block = new byte[34];
        (block[1], block[2], block[33]) = (0x3C, 0xFF, 0x7F); // d = 1, q[0] = -1, q[31] = 127
        StoredNumbers.Decode(DType.Q8_0, block, values);
        Assert.Equal((-1f, 0f, 127f), (values[0], values[1], values[31]));

        block = new byte[18];
        (block[1], block[2]) = (0x40, 0x1F); // d = 2, q[0] = 15, q[16] = 1
        StoredNumbers.Decode(DType.Q4_0, block, values);
        Assert.Equal((14f, -16f, -14f), (values[0], values[1], values[16]));
        StoredNumbers.Decode(DType.IQ4_NL, block, values);
        Assert.Equal((226f, -254f, -208f), (values[0], values[1], values[16]));

        block = new byte[17];
        (block[0], block[1]) = (128, 0xF7); // 2, element 0 = 6, element 16 = -6
        StoredNumbers.Decode(DType.MXFP4, block, values);
        Assert.Equal((12f, 0f, -12f), (values[0], values[1], values[16]));
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Only_whole_blocks_decode(DType type)
    {
        (int elements, int bytes) = type.Block();
        Assert.True(type.IsWeightType());
        Assert.Throws<ArgumentException>(() => StoredNumbers.Decode(type, new byte[bytes], new float[elements - 1]));
        Assert.Throws<ArgumentException>(() => StoredNumbers.Decode(type, new byte[bytes - 1], new float[elements]));
    }

    private static double Element(DType type, Bits bits, int i)
    {
        int half = i / 128;
        int quarter = i / 32 % 4;
        int lane = i % 32;
        int group16 = i / 16;
        int group32 = i / 32;
        switch (type)
        {
            case DType.Q8_0:
                return bits.Half(0) * (sbyte)bits[16 + (8 * i), 8];
            case DType.Q4_0:
                return bits.Half(0) * ((int)bits[16 + Nibble(i), 4] - 8);
            case DType.IQ4_NL:
                return bits.Half(0) * NonLinear(bits[16 + Nibble(i), 4]);
            case DType.MXFP4:
                return Math.ScaleB(E2M1(bits[8 + Nibble(i), 4]), (int)bits[0, 8] - 127);
            case DType.Q2_K:
                double scale2 = bits.Half(640) * bits[8 * group16, 4];
                double offset2 = bits.Half(656) * bits[(8 * group16) + 4, 4];
                return (scale2 * bits[128 + (8 * ((32 * half) + lane)) + (2 * quarter), 2]) - offset2;
            case DType.Q3_K:
                uint low3 = bits[(8 * (96 + (group16 % 8))) + (group16 / 8 * 4), 4];
                uint high3 = bits[(8 * (104 + (group16 % 4))) + (group16 / 4 * 2), 2];
                int q3 = (int)bits[(8 * (32 + (32 * half) + lane)) + (2 * quarter), 2];
                int bit3 = (int)bits[(8 * lane) + group32, 1];
                return bits.Half(8 * 108) * ((int)(low3 + (16 * high3)) - 32) * (q3 - (bit3 == 1 ? 0 : 4));
            case DType.Q4_K:
            case DType.Q5_K:
                uint q = bits[(8 * ((type == DType.Q4_K ? 16 : 48) + (32 * (i / 64)) + lane)) + (group32 % 2 * 4), 4];
                if (type == DType.Q5_K)
                    q += 16 * bits[(8 * (16 + lane)) + group32, 1];
                return (bits.Half(0) * Scale6(bits, group32) * q) - (bits.Half(16) * Offset6(bits, group32));
            case DType.Q6_K:
                uint low6 = bits[(8 * ((64 * half) + (quarter % 2 * 32) + lane)) + (quarter / 2 * 4), 4];
                uint high6 = bits[(8 * (128 + (32 * half) + lane)) + (2 * quarter), 2];
                return bits.Half(8 * 208) * (sbyte)bits[8 * (192 + group16), 8] * ((int)(low6 + (16 * high6)) - 32);
            default:
                uint low4 = bits[32 + (4 * group32), 4];
                uint high4 = bits[16 + (2 * group32), 2];
                return bits.Half(0) * ((int)(low4 + (16 * high4)) - 32) * NonLinear(bits[64 + (128 * group32) + Nibble(lane), 4]);
        }
    }

    /// <summary>Bit of a nibble in 16 bytes whose lower halves are elements 0..15, upper halves 16..31.</summary>
    private static int Nibble(int i) => (i % 16 * 8) + (i / 16 * 4);

    // The twelve bytes as GGML's comments draw them: the first four groups in six bits, the others' lower four and upper two apart.
    private static uint Scale6(Bits bits, int g) => g < 4 ? bits[32 + (8 * g), 6] : bits[96 + (8 * (g - 4)), 4] + (16 * bits[32 + (8 * (g - 4)) + 6, 2]);

    private static uint Offset6(Bits bits, int g) => g < 4 ? bits[64 + (8 * g), 6] : bits[100 + (8 * (g - 4)), 4] + (16 * bits[64 + (8 * (g - 4)) + 6, 2]);

    private static int NonLinear(uint index) => index switch
    {
        0 => -127,
        1 => -104,
        2 => -83,
        3 => -65,
        4 => -49,
        5 => -35,
        6 => -22,
        7 => -10,
        8 => 1,
        9 => 13,
        10 => 25,
        11 => 38,
        12 => 53,
        13 => 69,
        14 => 89,
        _ => 113,
    };

    /// <summary>OCP: sign, exponent of bias 1, one bit of mantissa; exponent 0 is subnormal.</summary>
    private static double E2M1(uint bits)
    {
        uint exponent = (bits >> 1) & 3;
        double magnitude = exponent == 0 ? 0.5 * (bits & 1) : Math.ScaleB(1 + (0.5 * (bits & 1)), (int)exponent - 1);
        return bits < 8 ? magnitude : magnitude == 0 ? 0 : -magnitude; // GGML's table has no -0
    }

    private sealed class Bits(ReadOnlySpan<byte> stored)
    {
        private readonly BigInteger _value = new(stored, isUnsigned: true);

        public uint this[int bit, int count] => (uint)((_value >> bit) & ((1u << count) - 1));

        public double Half(int bit) => (double)BitConverter.UInt16BitsToHalf((ushort)this[bit, 16]);
    }
}
