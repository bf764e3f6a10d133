using System.Runtime.InteropServices;
using Sluice.Core;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Tests.Weights;

/// <summary>
/// What the packer writes, many columns at once, against the definition of the layout, one number at a time: kernels, and files of packed weights, count on every bit.
/// </summary>
public sealed unsafe class StripPackingTests
{
    public static TheoryData<DType> Types => [DType.Q8_0, DType.Q4_0, DType.IQ4_NL, DType.Q3_K, DType.Q4_K, DType.Q5_K, DType.Q6_K];

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_bit_is_where_the_layout_says(DType type)
    {
        QuantisedFormat format = QuantisedFormat.Of(QuantisedFormat.PackedType(type, ActivationPrecision.Fast));
        (int elements, int bytes) = type.Block();
        Random random = new(5);
        BlockParts parts = new();
        for (int round = 0; round < 50; round++)
        {
            byte[] found = new byte[format.SuperBytes];
            byte[] expected = new byte[format.SuperBytes];
            for (int output = 0; output < QuantisedFormat.StripOutputs; output++)
            {
                // Rows of small blocks may end anywhere.
                byte[] stored = new byte[bytes * (elements == 256 ? round % 2 : random.Next(9))];
                random.NextBytes(stored);
                parts.Read(type, stored);
                fixed (byte* super = found)
                    QuantisedStrip.Write(format, parts, output, super);
                Define(format, Elements(type, stored), parts, output, expected);
                if (type is DType.Q8_0 or DType.Q4_0)
                    Assert.Equal(stored.Chunk(bytes).Select(block => MemoryMarshal.Read<ushort>(block)), parts.Halves.Take(stored.Length / bytes));
            }

            Assert.Equal(expected, found);
        }
    }

    /// <summary>Packed and unpacked, weights are those that the file means.</summary>
    [Theory]
    [MemberData(nameof(Types))]
    public void Unpacked_weights_are_the_stored_ones(DType type)
    {
        QuantisedFormat format = QuantisedFormat.Of(QuantisedFormat.PackedType(type, ActivationPrecision.Fast));
        Random random = new(6);
        int bytes = type.RowBytes(256);
        byte[] super = new byte[format.SuperBytes];
        byte[][] rows = [.. Enumerable.Range(0, QuantisedFormat.StripOutputs).Select(_ => new byte[bytes])];
        BlockParts parts = new();
        float[] expected = new float[256];
        float[] found = new float[256];
        fixed (byte* strip = super)
        {
            for (int output = 0; output < rows.Length; output++)
            {
                random.NextBytes(rows[output]);
                SetFactors(type, rows[output]);
                parts.Read(type, rows[output]);
                QuantisedStrip.Write(format, parts, output, strip);
            }

            for (int output = 0; output < rows.Length; output++)
            {
                StoredNumbers.Decode(type, rows[output], expected);
                QuantisedStrip.Decode(format, strip, output, found);
                Assert.Equal(expected, found);
            }
        }
    }

    /// <summary>Elements, too large by the packed type's offset, as GGML's formats have them; zero where the row has ended.</summary>
    private static byte[] Elements(DType type, byte[] stored)
    {
        sbyte[] nonLinear = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
        byte[] result = new byte[256];
        (int elements, int bytes) = type.Block();
        for (int c = 0; c < stored.Length / bytes * elements; c++)
        {
            ReadOnlySpan<byte> block = stored.AsSpan(c / elements * bytes, bytes);
            int i = c % elements;
            result[c] = (byte)(type switch
            {
                DType.Q8_0 => (sbyte)block[2 + i] + 128,
                DType.Q4_0 => Nibble(block[2 + (i % 16)], i / 16),
                DType.IQ4_NL => nonLinear[Nibble(block[2 + (i % 16)], i / 16)] + 128,
                DType.Q4_K => Nibble(block[16 + (i / 64 * 32) + (i % 32)], i / 32 % 2),
                DType.Q5_K => Nibble(block[48 + (i / 64 * 32) + (i % 32)], i / 32 % 2) | (((block[16 + (i % 32)] >> (i / 32)) & 1) << 4),
                DType.Q6_K => Nibble(block[(64 * (i / 128)) + (i / 32 % 2 * 32) + (i % 32)], i / 64 % 2)
                    | (((block[128 + (32 * (i / 128)) + (i % 32)] >> (2 * (i / 32 % 4))) & 3) << 4),
                _ => ((block[32 + (32 * (i / 128)) + (i % 32)] >> (2 * (i / 32 % 4))) & 3) + (4 * ((block[i % 32] >> (i / 32)) & 1)) - 4 + 32,
            });
        }

        return result;

        static int Nibble(byte both, int which) => (both >> (4 * which)) & 15;
    }

    private static void Define(in QuantisedFormat format, byte[] elements, BlockParts parts, int output, byte[] super)
    {
        void Half(int index, ushort value) => MemoryMarshal.Write(super.AsSpan(2 * index), value);
        for (int block = 0; block < QuantisedFormat.Blocks; block++)
        {
            if (format.Factors == FactorKind.Single)
            {
                Half((16 * block) + output, parts.Halves[block]);
            }
            else if (format.Factors == FactorKind.WithOffset)
            {
                super[64 + (16 * block) + output] = parts.Factors[block];
                super[192 + (32 * (block / 2)) + (2 * output) + (block % 2)] = parts.Offsets[block];
            }
            else
            {
                super[64 + (32 * block) + output] = parts.Factors[2 * block];
                super[64 + (32 * block) + 16 + output] = parts.Factors[(2 * block) + 1];
            }

            for (int c = 0; c < QuantisedFormat.BlockColumns; c++)
            {
                byte element = elements[(block * QuantisedFormat.BlockColumns) + c];
                (int quad, int at) = (c / 4, (4 * output) + (c % 4));
                int low = format.FactorBytes + (block * format.LowBytes);
                int high = format.FactorBytes + (QuantisedFormat.Blocks * format.LowBytes) + (block * format.HighBytes);
                if (format.LowBytes == 512)
                {
                    super[low + (64 * quad) + at] = element;
                    continue;
                }

                super[low + (64 * (quad % 4)) + at] |= (byte)((element & 15) << (quad / 4 * 4));
                if (format.HighBits == 1)
                    super[high + at] |= (byte)(element >> 4 << quad);
                else if (format.HighBits == 2)
                    super[high + (64 * (quad / 4)) + at] |= (byte)(element >> 4 << (2 * (quad % 4)));
            }
        }

        if (format.Factors == FactorKind.Single)
            return;
        Half(output, parts.Halves[0]);
        if (format.Factors == FactorKind.WithOffset)
            Half(16 + output, parts.Halves[1]);
    }

    /// <summary>Factors that are numbers.</summary>
    private static void SetFactors(DType type, byte[] row)
    {
        int bytes = type.Block().Bytes;
        for (int block = 0; block < row.Length; block += bytes)
        {
            int[] places = type switch
            {
                DType.Q4_K or DType.Q5_K => [0, 2],
                DType.Q6_K => [208],
                DType.Q3_K => [108],
                _ => [0],
            };
            foreach (int at in places)
                MemoryMarshal.Write(row.AsSpan(block + at), (Half)0.37f);
        }
    }
}
