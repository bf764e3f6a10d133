using System.Buffers.Binary;

namespace Sluice.Core.Blocks;

/// <summary>
/// GGML's types whose blocks hold 256 elements in groups of 16 or 32. Each group has a factor (and an offset) of few bits, which the
/// block's own binary16 factors scale: element = (d sc) q - (dmin m).
/// </summary>
/// <remarks>
/// A binary16 has 11 significant bits, a group's factor at most 7 and an element at most 7, so that all products are exact in float32 and
/// only the difference rounds: whoever computes in another order, or fuses product and difference, gets the same bits.
/// </remarks>
internal static class SuperBlocks
{
    /// <summary>Elements of a block.</summary>
    internal const int Elements = 256;

    /// <summary>
    /// Q2_K: <c>[groups: 16 x (sc: 4 low bits, m: 4 high) | q: 64 bytes | d: f16 | dmin: f16]</c>, groups of 16. Byte 32 h + l of q holds two bits
    /// each of elements 128 h + 32 k + l, k = 0..3, the lowest first.
    /// </summary>
    internal static void DecodeQ2_K(ReadOnlySpan<byte> stored, Span<float> values)
    {
        const int Bytes = 84;
        for (int i = 0; i < values.Length; i += Elements, stored = stored[Bytes..])
        {
            ReadOnlySpan<byte> q = stored.Slice(16, 64);
            float factor = SmallBlocks.Half(stored[80..]);
            float offsetFactor = SmallBlocks.Half(stored[82..]);
            for (int group = 0; group < 16; group++)
            {
                float scale = factor * (stored[group] & 15);
                float offset = offsetFactor * (stored[group] >> 4);
                (int first, int shift) = TwoBits(group);
                for (int l = 0; l < 16; l++)
                    values[i + (16 * group) + l] = (scale * ((q[first + l] >> shift) & 3)) - offset;
            }
        }
    }

    /// <summary>
    /// Q3_K: <c>[high: 32 bytes | q: 64 bytes | sc: 16 x 6 bits | d: f16]</c>, groups of 16, element = d (sc - 32) (q + 4 high - 4). q as in Q2_K;
    /// bit k of high byte l belongs to element 32 k + l. The factors' lower four bits are the halves of eight bytes, group g in
    /// half g / 8 of byte g mod 8; their upper two, four to a byte, in bits 2 (g / 4).. of byte 8 + g mod 4.
    /// </summary>
    internal static void DecodeQ3_K(ReadOnlySpan<byte> stored, Span<float> values)
    {
        const int Bytes = 110;
        for (int i = 0; i < values.Length; i += Elements, stored = stored[Bytes..])
        {
            ReadOnlySpan<byte> q = stored.Slice(32, 64);
            ReadOnlySpan<byte> scales = stored.Slice(96, 12);
            float factor = SmallBlocks.Half(stored[108..]);
            for (int group = 0; group < 16; group++)
            {
                int low = (scales[group % 8] >> (4 * (group / 8))) & 15;
                int high = (scales[8 + (group % 4)] >> (2 * (group / 4))) & 3;
                float scale = factor * ((low | (high << 4)) - 32);
                (int first, int shift) = TwoBits(group);
                for (int l = 0; l < 16; l++)
                {
                    int bit = (stored[(group % 2 * 16) + l] >> (group / 2)) & 1;
                    values[i + (16 * group) + l] = scale * (((q[first + l] >> shift) & 3) + (4 * bit) - 4);
                }
            }
        }
    }

    /// <summary>
    /// Q4_K: <c>[d: f16 | dmin: f16 | 8 x (sc: 6 bits, m: 6 bits) | q: 128 bytes]</c>, groups of 32. Byte 32 h + l of q holds element 64 h + l in its
    /// lower half and element 64 h + 32 + l in its upper half.
    /// </summary>
    internal static void DecodeQ4_K(ReadOnlySpan<byte> stored, Span<float> values)
    {
        const int Bytes = 144;
        for (int i = 0; i < values.Length; i += Elements, stored = stored[Bytes..])
        {
            ReadOnlySpan<byte> q = stored.Slice(16, 128);
            float factor = SmallBlocks.Half(stored);
            float offsetFactor = SmallBlocks.Half(stored[2..]);
            for (int group = 0; group < 8; group++)
            {
                (int sc, int m) = ScaleAndOffset(stored.Slice(4, 12), group);
                float scale = factor * sc;
                float offset = offsetFactor * m;
                for (int l = 0; l < 32; l++)
                    values[i + (32 * group) + l] = (scale * ((q[(group / 2 * 32) + l] >> (group % 2 * 4)) & 15)) - offset;
            }
        }
    }

    /// <summary>
    /// Q5_K: <c>[d: f16 | dmin: f16 | 8 x (sc: 6 bits, m: 6 bits) | high: 32 bytes | q: 128 bytes]</c>: as Q4_K, with bit g of high byte l the fifth bit
    /// of element 32 g + l.
    /// </summary>
    internal static void DecodeQ5_K(ReadOnlySpan<byte> stored, Span<float> values)
    {
        const int Bytes = 176;
        for (int i = 0; i < values.Length; i += Elements, stored = stored[Bytes..])
        {
            ReadOnlySpan<byte> high = stored.Slice(16, 32);
            ReadOnlySpan<byte> q = stored.Slice(48, 128);
            float factor = SmallBlocks.Half(stored);
            float offsetFactor = SmallBlocks.Half(stored[2..]);
            for (int group = 0; group < 8; group++)
            {
                (int sc, int m) = ScaleAndOffset(stored.Slice(4, 12), group);
                float scale = factor * sc;
                float offset = offsetFactor * m;
                for (int l = 0; l < 32; l++)
                {
                    int low = (q[(group / 2 * 32) + l] >> (group % 2 * 4)) & 15;
                    values[i + (32 * group) + l] = (scale * (low | (((high[l] >> group) & 1) << 4))) - offset;
                }
            }
        }
    }

    /// <summary>
    /// Q6_K: <c>[low: 128 bytes | high: 64 bytes | sc: 16 x i8 | d: f16]</c>, groups of 16, element = d sc (q - 32). Low byte 64 h + 32 b + l holds the lower
    /// four bits of elements 128 h + 32 b + l and 128 h + 64 + 32 b + l; high byte 32 h + l the upper two of elements 128 h + 32 k + l, k = 0..3.
    /// </summary>
    internal static void DecodeQ6_K(ReadOnlySpan<byte> stored, Span<float> values)
    {
        const int Bytes = 210;
        for (int i = 0; i < values.Length; i += Elements, stored = stored[Bytes..])
        {
            ReadOnlySpan<byte> high = stored.Slice(128, 64);
            float factor = SmallBlocks.Half(stored[208..]);
            for (int group = 0; group < 16; group++)
            {
                float scale = factor * (sbyte)stored[192 + group];
                (int firstHigh, int highShift) = TwoBits(group);
                int half = group / 8;
                int quarter = group % 8 / 2;
                int firstLow = (64 * half) + (quarter % 2 * 32) + (group % 2 * 16);
                for (int l = 0; l < 16; l++)
                {
                    int low = (stored[firstLow + l] >> (quarter / 2 * 4)) & 15;
                    values[i + (16 * group) + l] = scale * ((low | (((high[firstHigh + l] >> highShift) & 3) << 4)) - 32);
                }
            }
        }
    }

    /// <summary>
    /// IQ4_XS: <c>[d: f16 | high: u16 | low: 8 x 4 bits | index: 8 x 16 bytes]</c>, groups of 32 as in IQ4_NL, whose factor is d (sc - 32), sc of
    /// four bits of low and two of high.
    /// </summary>
    internal static void DecodeIQ4_XS(ReadOnlySpan<byte> stored, Span<float> values)
    {
        const int Bytes = 136;
        for (int i = 0; i < values.Length; i += Elements, stored = stored[Bytes..])
        {
            float factor = SmallBlocks.Half(stored);
            int high = BinaryPrimitives.ReadUInt16LittleEndian(stored[2..]);
            for (int group = 0; group < 8; group++)
            {
                int sc = ((stored[4 + (group / 2)] >> (group % 2 * 4)) & 15) | (((high >> (2 * group)) & 3) << 4);
                SmallBlocks.DecodeIndices(
                    stored.Slice(8 + (16 * group), 16), SmallBlocks.NonLinear, factor * (sc - 32), values.Slice(i + (32 * group), 32));
            }
        }
    }

    /// <summary>
    /// A group's factor and offset out of the twelve bytes of Q4_K and Q5_K: bytes 0..3 have the factors of groups 0..3 in six bits, bytes
    /// 4..7 their offsets; of groups 4..7, bytes 8..11 have the lower four bits of both, and their upper two are the upper two of
    /// bytes 0..3 and 4..7.
    /// </summary>
    internal static (int Scale, int Offset) ScaleAndOffset(ReadOnlySpan<byte> packed, int group) => group < 4
        ? (packed[group] & 63, packed[group + 4] & 63)
        : ((packed[group + 4] & 15) | (packed[group - 4] >> 6 << 4), (packed[group + 4] >> 4) | (packed[group] >> 6 << 4));

    /// <summary>Where the two bits of a group of 16 lie: the byte of its first element, and how far to shift.</summary>
    private static (int Byte, int Shift) TwoBits(int group) => ((group / 8 * 32) + (group % 2 * 16), group % 8 / 2 * 2);
}
