using System.Buffers.Binary;
using Sluice.Core;

namespace Sluice.Backends.Tests;

public sealed class StoredNumbersTests
{
    [Fact]
    public void F8E4M3_follows_the_OCP_table()
    {
        Assert.Equal(0f, StoredNumbers.FromF8E4M3(0x00));
        Assert.Equal(MathF.ScaleB(1, -9), StoredNumbers.FromF8E4M3(0x01)); // smallest subnormal
        Assert.Equal(MathF.ScaleB(7, -9), StoredNumbers.FromF8E4M3(0x07)); // largest subnormal
        Assert.Equal(MathF.ScaleB(1, -6), StoredNumbers.FromF8E4M3(0x08)); // smallest normal
        Assert.Equal(1f, StoredNumbers.FromF8E4M3(0x38));
        Assert.Equal(1.125f, StoredNumbers.FromF8E4M3(0x39));
        Assert.Equal(448f, StoredNumbers.FromF8E4M3(0x7E));
        Assert.Equal(-448f, StoredNumbers.FromF8E4M3(0xFE));
        Assert.True(float.IsNaN(StoredNumbers.FromF8E4M3(0x7F)));
        Assert.True(float.IsNaN(StoredNumbers.FromF8E4M3(0xFF)));
        Assert.True(float.IsNegative(StoredNumbers.FromF8E4M3(0x80)));
    }

    [Fact]
    public void F8E4M3_rounds_to_the_nearest_with_ties_to_even()
    {
        for (int bits = 0; bits < 256; bits++)
        {
            float value = StoredNumbers.FromF8E4M3((byte)bits);
            if (!float.IsNaN(value))
                Assert.Equal(bits, StoredNumbers.ToF8E4M3(value));
        }

        for (int bits = 0; bits < 0x7E; bits++)
        {
            float low = StoredNumbers.FromF8E4M3((byte)bits);
            float high = StoredNumbers.FromF8E4M3((byte)(bits + 1));
            float middle = (low + high) / 2;
            int even = bits % 2 == 0 ? bits : bits + 1;
            Assert.Equal(even, StoredNumbers.ToF8E4M3(middle));
            Assert.Equal(bits, StoredNumbers.ToF8E4M3(MathF.BitDecrement(middle)));
            Assert.Equal(bits + 1, StoredNumbers.ToF8E4M3(MathF.BitIncrement(middle)));
            Assert.Equal(even | 0x80, StoredNumbers.ToF8E4M3(-middle));
        }

        Assert.Equal(0x7E, StoredNumbers.ToF8E4M3(1e30f));
        Assert.Equal(0xFE, StoredNumbers.ToF8E4M3(float.NegativeInfinity));
        Assert.Equal(0x7F, StoredNumbers.ToF8E4M3(float.NaN) & 0x7F);
    }

    [Fact]
    public void BF16_survives_the_round_trip_and_ties_go_to_even()
    {
        for (int bits = 0; bits <= ushort.MaxValue; bits++)
        {
            float value = StoredNumbers.FromBF16((ushort)bits);
            ushort back = StoredNumbers.ToBF16(value);
            if (float.IsNaN(value))
                Assert.True(float.IsNaN(StoredNumbers.FromBF16(back)));
            else
                Assert.Equal(bits, back);
        }

        Assert.Equal(0x3F80, StoredNumbers.ToBF16(1f + MathF.ScaleB(1, -8)));
        Assert.Equal(0x3F82, StoredNumbers.ToBF16(1f + (3 * MathF.ScaleB(1, -8))));
        Assert.Equal(0x7F80, StoredNumbers.ToBF16(float.MaxValue));
    }

    [Fact]
    public void Every_type_decodes_its_own_bytes()
    {
        float[] value = new float[1];
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteSingleLittleEndian(bytes, -1.7182818f);
        StoredNumbers.Decode(DType.F32, bytes, value);
        Assert.Equal(-1.7182818f, value[0]);
        BinaryPrimitives.WriteHalfLittleEndian(bytes, (Half)0.333f);
        StoredNumbers.Decode(DType.F16, bytes.AsSpan(0, 2), value);
        Assert.Equal((float)(Half)0.333f, value[0]);
        StoredNumbers.Decode(DType.BF16, [0xC0, 0x3F], value);
        Assert.Equal(1.5f, value[0]);
        StoredNumbers.Decode(DType.F8E4M3, [0xB8], value);
        Assert.Equal(-1f, value[0]);

        Assert.Throws<ArgumentException>(() => StoredNumbers.Decode(DType.I8, [1], new float[1]));
        Assert.Throws<ArgumentException>(() => StoredNumbers.Decode(DType.BF16, [1], new float[1]));
    }
}
