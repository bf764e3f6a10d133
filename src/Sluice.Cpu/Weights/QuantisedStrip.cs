using System.Runtime.Intrinsics;

namespace Sluice.Cpu.Weights;

/// <summary>Writes and reads superblocks of strips, as <see cref="QuantisedFormat"/> describes them.</summary>
internal static unsafe class QuantisedStrip
{
    /// <summary>Puts 256 columns of one output into a superblock that was zeroed.</summary>
    public static void Write(in QuantisedFormat format, BlockParts parts, int output, byte* super)
    {
        WriteFactors(format, parts, output, super);
        byte* low = super + format.FactorBytes;
        byte* high = low + (QuantisedFormat.Blocks * format.LowBytes);
        for (int block = 0; block < QuantisedFormat.Blocks; block++, low += format.LowBytes, high += format.HighBytes)
        {
            ReadOnlySpan<byte> elements = parts.Elements.AsSpan(block * QuantisedFormat.BlockColumns, QuantisedFormat.BlockColumns);
            for (int c = 0; c < QuantisedFormat.BlockColumns; c++)
            {
                int quad = c / 4;
                int at = (4 * output) + (c % 4);
                if (format.LowBytes == 512)
                {
                    low[(64 * quad) + at] = elements[c];
                    continue;
                }

                low[(64 * (quad % 4)) + at] |= (byte)((elements[c] & 15) << (quad / 4 * 4));
                if (format.HighBits == 1)
                    high[at] |= (byte)((elements[c] >> 4) << quad);
                else if (format.HighBits == 2)
                    high[(64 * (quad / 4)) + at] |= (byte)((elements[c] >> 4) << (2 * (quad % 4)));
            }
        }
    }

    /// <summary>A block's elements as bytes, [8 quads, 16 outputs, 4].</summary>
    public static void Unpack(in QuantisedFormat format, byte* super, int block, byte* elements)
    {
        byte* low = super + format.FactorBytes + (block * format.LowBytes);
        if (format.LowBytes == 512)
        {
            new Span<byte>(low, 512).CopyTo(new Span<byte>(elements, 512));
            return;
        }

        byte* high = super + format.FactorBytes + (QuantisedFormat.Blocks * format.LowBytes) + (block * format.HighBytes);
        var nibble = Vector128.Create((byte)0x0F);
        for (int at = 0; at < 64; at += 16)
        {
            for (int quad = 0; quad < 4; quad++)
            {
                Vector128<byte> both = Vector128.Load(low + (64 * quad) + at);
                Store(format, both & nibble, high, quad, at, elements);
                Store(format, both >>> 4, high, quad + 4, at, elements);
            }
        }
    }

    /// <summary>The factors of a block: [16 outputs] for its first and its second 16 columns.</summary>
    public static void ReadFactors(in QuantisedFormat format, byte* super, int block, float* first, float* second)
    {
        for (int output = 0; output < QuantisedFormat.StripOutputs; output++)
        {
            if (format.Factors == FactorKind.Single)
            {
                first[output] = second[output] = (float)((Half*)super)[(16 * block) + output];
                continue;
            }

            float d = (float)((Half*)super)[output];
            if (format.Factors == FactorKind.WithOffset)
            {
                first[output] = second[output] = d * super[64 + (16 * block) + output];
                continue;
            }

            first[output] = d * (sbyte)super[64 + (32 * block) + output];
            second[output] = d * (sbyte)super[64 + (32 * block) + 16 + output];
        }
    }

    /// <summary>What a superblock subtracts: dmin, [16 outputs], times m, [8 blocks, 16 outputs].</summary>
    public static void ReadOffsets(byte* super, float* factor, int* offsets)
    {
        for (int output = 0; output < QuantisedFormat.StripOutputs; output++)
        {
            factor[output] = (float)((Half*)super)[16 + output];
            for (int block = 0; block < QuantisedFormat.Blocks; block++)
                offsets[(16 * block) + output] = super[OffsetAt(block, output)];
        }
    }

    /// <summary>Decodes one output's weights.</summary>
    public static void Decode(in QuantisedFormat format, byte* strip, int output, Span<float> destination)
    {
        byte* elements = stackalloc byte[512];
        float* factors = stackalloc float[32];
        float subtracts = 0;
        for (int c = 0; c < destination.Length; c++)
        {
            byte* super = strip + (c / QuantisedFormat.SuperColumns * (long)format.SuperBytes);
            int at = c % QuantisedFormat.BlockColumns;
            if (at == 0)
            {
                int block = c % QuantisedFormat.SuperColumns / QuantisedFormat.BlockColumns;
                Unpack(format, super, block, elements);
                ReadFactors(format, super, block, factors, factors + 16);
                if (format.Factors == FactorKind.WithOffset)
                    subtracts = (float)((Half*)super)[16 + output] * super[OffsetAt(block, output)];
            }

            int element = elements[(at / 4 * 64) + (4 * output) + (at % 4)] - format.Offset;
            destination[c] = (factors[(at / 16 * 16) + output] * element) - subtracts;
        }
    }

    private static int OffsetAt(int block, int output) => 192 + (32 * (block / 2)) + (2 * output) + (block % 2);

    private static void WriteFactors(in QuantisedFormat format, BlockParts parts, int output, byte* super)
    {
        ushort* halves = (ushort*)super;
        switch (format.Factors)
        {
            case FactorKind.Single:
                for (int block = 0; block < QuantisedFormat.Blocks; block++)
                    halves[(16 * block) + output] = parts.Halves[block];
                break;
            case FactorKind.WithOffset:
                halves[output] = parts.Halves[0];
                halves[16 + output] = parts.Halves[1];
                for (int block = 0; block < QuantisedFormat.Blocks; block++)
                {
                    super[64 + (16 * block) + output] = parts.Factors[block];
                    super[OffsetAt(block, output)] = parts.Offsets[block];
                }

                break;
            default:
                halves[output] = parts.Halves[0];
                for (int half = 0; half < 2 * QuantisedFormat.Blocks; half++)
                    super[64 + (16 * half) + output] = parts.Factors[half];
                break;
        }
    }

    private static void Store(in QuantisedFormat format, Vector128<byte> low, byte* high, int quad, int at, byte* elements)
    {
        Vector128<byte> value = low;
        if (format.HighBits == 1)
            value |= ((Vector128.Load(high + at) >>> quad) & Vector128<byte>.One) << 4;
        else if (format.HighBits == 2)
            value |= ((Vector128.Load(high + (64 * (quad / 4)) + at) >>> (2 * (quad % 4))) & Vector128.Create((byte)3)) << 4;
        value.Store(elements + (64 * quad) + at);
    }
}
