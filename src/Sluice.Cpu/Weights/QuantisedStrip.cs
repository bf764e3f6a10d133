using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sluice.Cpu.Weights;

/// <summary>Writes and reads superblocks of strips, as <see cref="QuantisedFormat"/> describes them.</summary>
internal static unsafe class QuantisedStrip
{
    /// <summary>Puts 256 columns of one output into a superblock that was zeroed: words of four columns, quads of which lie 64 bytes apart.</summary>
    public static void Write(in QuantisedFormat format, BlockParts parts, int output, byte* super)
    {
        WriteFactors(format, parts, output, super);
        uint* low = (uint*)(super + format.FactorBytes) + output;
        uint* high = low + (QuantisedFormat.Blocks * format.LowBytes / sizeof(uint));
        var nibble = Vector128.Create((byte)0x0F);
        for (int block = 0; block < QuantisedFormat.Blocks; block++)
        {
            var first = Vector128.Create(parts.Elements, block * QuantisedFormat.BlockColumns);
            var second = Vector128.Create(parts.Elements, (block * QuantisedFormat.BlockColumns) + 16);
            if (format.LowBytes == 512)
            {
                Scatter(first.AsUInt32(), low);
                Scatter(second.AsUInt32(), low + 64);
            }
            else
            {
                Scatter(((first & nibble) | (second << 4)).AsUInt32(), low);
                if (format.HighBits == 1)
                    *high = Join(((first >>> 4) | (second & ~nibble)).AsUInt32() & Vector128.Create(0x11111111u), Vector128.Create(1u, 2, 4, 8));
                else if (format.HighBits == 2)
                    (high[0], high[16]) = (JoinPairs(first), JoinPairs(second));
            }

            low += format.LowBytes / sizeof(uint);
            high += format.HighBytes / sizeof(uint);
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

    /// <summary>Four words to the same output of four quads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scatter(Vector128<uint> words, uint* to)
    {
        to[0] = words.GetElement(0);
        to[QuantisedFormat.StripOutputs] = words.GetElement(1);
        to[2 * QuantisedFormat.StripOutputs] = words.GetElement(2);
        to[3 * QuantisedFormat.StripOutputs] = words.GetElement(3);
    }

    /// <summary>The two bits above the lower four, of four quads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint JoinPairs(Vector128<byte> elements) =>
        Join((elements >>> 4).AsUInt32() & Vector128.Create(0x03030303u), Vector128.Create(1u, 4, 16, 64));

    /// <summary>Four words in one, each shifted to bits of its own.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Join(Vector128<uint> words, Vector128<uint> places)
    {
        Vector128<uint> shifted = words * places;
        shifted |= Vector128.Shuffle(shifted, Vector128.Create(2u, 3, 0, 1));
        return shifted.GetElement(0) | shifted.GetElement(1);
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
