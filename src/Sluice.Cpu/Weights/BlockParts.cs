using System.Buffers.Binary;
using Sluice.Core;

namespace Sluice.Cpu.Weights;

/// <summary>256 columns of a stored row taken apart: elements as unsigned bytes and what they are multiplied with.</summary>
internal sealed class BlockParts
{
    private static ReadOnlySpan<sbyte> NonLinear => [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    /// <summary>Elements, too large by the offset of the packed type.</summary>
    public byte[] Elements { get; } = new byte[QuantisedFormat.SuperColumns];

    /// <summary>binary16 factors: one for each block, or the superblock's d and dmin.</summary>
    public ushort[] Halves { get; } = new ushort[QuantisedFormat.Blocks];

    /// <summary>Small factors: sc of each block, or of each half of one.</summary>
    public byte[] Factors { get; } = new byte[2 * QuantisedFormat.Blocks];

    /// <summary>m of each block.</summary>
    public byte[] Offsets { get; } = new byte[QuantisedFormat.Blocks];

    /// <summary>Takes apart up to 256 columns; what is missing of them becomes zero.</summary>
    public void Read(DType type, ReadOnlySpan<byte> stored)
    {
        Array.Clear(Elements);
        Array.Clear(Halves);
        Array.Clear(Factors);
        Array.Clear(Offsets);
        switch (type)
        {
            case DType.Q8_0:
                for (int block = 0; stored.Length > 0; block++, stored = stored[34..])
                {
                    Halves[block] = Half(stored);
                    for (int i = 0; i < 32; i++)
                        Elements[(32 * block) + i] = (byte)(stored[2 + i] ^ 0x80);
                }

                break;
            case DType.Q4_0 or DType.IQ4_NL:
                for (int block = 0; stored.Length > 0; block++, stored = stored[18..])
                {
                    Halves[block] = Half(stored);
                    for (int i = 0; i < 16; i++)
                    {
                        Elements[(32 * block) + i] = Nibble(type, stored[2 + i] & 15);
                        Elements[(32 * block) + 16 + i] = Nibble(type, stored[2 + i] >> 4);
                    }
                }

                break;
            case DType.Q4_K or DType.Q5_K when stored.Length > 0:
                ReadWithOffsets(type, stored);
                break;
            case DType.Q6_K when stored.Length > 0:
                Halves[0] = Half(stored[208..]);
                stored.Slice(192, 16).CopyTo(Factors);
                for (int i = 0; i < 256; i++)
                {
                    int half = i / 128;
                    int quarter = i % 128 / 32;
                    int low = stored[(64 * half) + (quarter % 2 * 32) + (i % 32)] >> (quarter / 2 * 4);
                    int high = stored[128 + (32 * half) + (i % 32)] >> (2 * quarter);
                    Elements[i] = (byte)((low & 15) | ((high & 3) << 4));
                }

                break;
            case DType.Q3_K when stored.Length > 0:
                ReadThreeBits(stored);
                break;
        }
    }

    private static byte Nibble(DType type, int index) => type == DType.Q4_0 ? (byte)index : (byte)(NonLinear[index] + 128);

    private void ReadWithOffsets(DType type, ReadOnlySpan<byte> stored)
    {
        Halves[0] = Half(stored);
        Halves[1] = Half(stored[2..]);
        ReadOnlySpan<byte> packed = stored.Slice(4, 12);
        for (int group = 0; group < 8; group++)
        {
            Factors[group] = (byte)(group < 4 ? packed[group] & 63 : (packed[group + 4] & 15) | (packed[group - 4] >> 6 << 4));
            Offsets[group] = (byte)(group < 4 ? packed[group + 4] & 63 : (packed[group + 4] >> 4) | (packed[group] >> 6 << 4));
        }

        ReadOnlySpan<byte> q = stored[(type == DType.Q4_K ? 16 : 48)..];
        for (int i = 0; i < 256; i++)
        {
            int low = (q[(i / 64 * 32) + (i % 32)] >> (i / 32 % 2 * 4)) & 15;
            int high = type == DType.Q4_K ? 0 : (stored[16 + (i % 32)] >> (i / 32)) & 1;
            Elements[i] = (byte)(low | (high << 4));
        }
    }

    /// <summary>Q3_K: factors less 32 and elements less 4, as Q6_K has signed factors and elements less 32.</summary>
    private void ReadThreeBits(ReadOnlySpan<byte> stored)
    {
        Halves[0] = Half(stored[108..]);
        ReadOnlySpan<byte> scales = stored.Slice(96, 12);
        for (int group = 0; group < 16; group++)
        {
            int low = (scales[group % 8] >> (4 * (group / 8))) & 15;
            int high = (scales[8 + (group % 4)] >> (2 * (group / 4))) & 3;
            Factors[group] = (byte)((low | (high << 4)) - 32);
        }

        for (int i = 0; i < 256; i++)
        {
            int low = (stored[32 + (32 * (i / 128)) + (i % 32)] >> (2 * (i % 128 / 32))) & 3;
            int high = (stored[i % 32] >> (i / 32)) & 1;
            Elements[i] = (byte)(low + (4 * high) - 4 + 32);
        }
    }

    private static ushort Half(ReadOnlySpan<byte> stored) => BinaryPrimitives.ReadUInt16LittleEndian(stored);
}
