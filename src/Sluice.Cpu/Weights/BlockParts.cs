using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Sluice.Core;

namespace Sluice.Cpu.Weights;

/// <summary>256 columns of a stored row taken apart: elements as unsigned bytes and what they are multiplied with.</summary>
internal sealed class BlockParts
{
    private static ReadOnlySpan<sbyte> NonLinear => [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    private static Vector128<byte> Nibble => Vector128.Create((byte)0x0F);

    private static Vector128<byte> Sign => Vector128.Create((byte)0x80);

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
        Array.Clear(Halves);
        Array.Clear(Factors);
        Array.Clear(Offsets);
        (int columns, int bytes) = type.Block();
        if (stored.Length / bytes * columns < QuantisedFormat.SuperColumns)
            Array.Clear(Elements);
        if (stored.IsEmpty)
            return;
        switch (type)
        {
            case DType.Q8_0:
                for (int block = 0; stored.Length > 0; block++, stored = stored[34..])
                {
                    Halves[block] = Half(stored);
                    Put(Load(stored, 2) ^ Sign, 32 * block);
                    Put(Load(stored, 18) ^ Sign, (32 * block) + 16);
                }

                break;
            case DType.Q4_0:
                for (int block = 0; stored.Length > 0; block++, stored = stored[18..])
                {
                    Halves[block] = Half(stored);
                    PutNibbles(Load(stored, 2), 32 * block, 16);
                }

                break;
            case DType.IQ4_NL:
                Vector128<byte> values = Load(MemoryMarshal.AsBytes(NonLinear), 0) + Sign;
                for (int block = 0; stored.Length > 0; block++, stored = stored[18..])
                {
                    Halves[block] = Half(stored);
                    Vector128<byte> indices = Load(stored, 2);
                    Put(Vector128.Shuffle(values, indices & Nibble), 32 * block);
                    Put(Vector128.Shuffle(values, indices >>> 4), (32 * block) + 16);
                }

                break;
            case DType.Q4_K or DType.Q5_K:
                ReadWithOffsets(type, stored);
                break;
            case DType.Q6_K:
                Halves[0] = Half(stored[208..]);
                stored.Slice(192, 16).CopyTo(Factors);
                ReadSixBits(stored);
                break;
            case DType.Q3_K:
                ReadThreeBits(stored);
                break;
        }
    }

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

        int low = type == DType.Q4_K ? 16 : 48;
        for (int half = 0; half < 32; half += 16)
        {
            for (int pair = 0; pair < 4; pair++)
                PutNibbles(Load(stored, low + (32 * pair) + half), (64 * pair) + half, 32);
            if (type == DType.Q4_K)
                continue;

            // Bit g of a byte is the fifth of the element of group g that has its place.
            Vector128<byte> high = Load(stored, 16 + half);
            for (int group = 0; group < 8; group++)
                Put(Load(Elements, (32 * group) + half) | (((high >>> group) & Vector128<byte>.One) << 4), (32 * group) + half);
        }
    }

    private void ReadSixBits(ReadOnlySpan<byte> stored)
    {
        var two = Vector128.Create((byte)3);
        for (int half = 0; half < 2; half++)
        {
            for (int at = 0; at < 32; at += 16)
            {
                Vector128<byte> high = Load(stored, 128 + (32 * half) + at);
                for (int quarter = 0; quarter < 4; quarter++)
                {
                    Vector128<byte> low = Load(stored, (64 * half) + (quarter % 2 * 32) + at);
                    low = quarter < 2 ? low & Nibble : low >>> 4;
                    Put(low | (((high >>> (2 * quarter)) & two) << 4), (128 * half) + (32 * quarter) + at);
                }
            }
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

        var two = Vector128.Create((byte)3);
        var offset = Vector128.Create((byte)(32 - 4));
        for (int at = 0; at < 32; at += 16)
        {
            Vector128<byte> high = Load(stored, at);
            for (int group = 0; group < 8; group++)
            {
                Vector128<byte> low = (Load(stored, 32 + (32 * (group / 4)) + at) >>> (2 * (group % 4))) & two;
                Put(low + (((high >>> group) & Vector128<byte>.One) << 2) + offset, (32 * group) + at);
            }
        }
    }

    /// <summary>Elements in the lower halves of 16 bytes, and those in the upper ones some columns further on.</summary>
    private void PutNibbles(Vector128<byte> both, int column, int further)
    {
        Put(both & Nibble, column);
        Put(both >>> 4, column + further);
    }

    private void Put(Vector128<byte> elements, int column) => elements.CopyTo(Elements, column);

    private static Vector128<byte> Load(ReadOnlySpan<byte> bytes, int at) => Vector128.Create(bytes.Slice(at, 16));

    private static ushort Half(ReadOnlySpan<byte> stored) => BinaryPrimitives.ReadUInt16LittleEndian(stored);
}
