using System.Buffers.Binary;

namespace Sluice.Core.Blocks;

/// <summary>
/// GGML's types whose blocks of 32 elements stand alone: one factor, then 32 elements. Where an element takes four bits, byte i
/// holds element i in its lower half and element 16 + i in its upper half.
/// </summary>
internal static class SmallBlocks
{
    private const int Elements = 32;

    /// <summary>What an index of IQ4_NL and IQ4_XS stands for: steps that grow outwards, as the weights of a trained matrix thin out.</summary>
    internal static ReadOnlySpan<sbyte> NonLinear => [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    /// <summary>The E2M1 numbers of MXFP4 times 2, which makes them whole: sign, two bits of exponent, one of mantissa.</summary>
    internal static ReadOnlySpan<sbyte> TwiceE2M1 => [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

    /// <summary>Q8_0: <c>[d: f16 | q: 32 x i8]</c>, element = d q.</summary>
    internal static void DecodeQ8_0(ReadOnlySpan<byte> stored, Span<float> values)
    {
        const int Bytes = 34;
        for (int i = 0; i < values.Length; i += Elements, stored = stored[Bytes..])
        {
            float factor = Half(stored);
            for (int j = 0; j < Elements; j++)
                values[i + j] = (sbyte)stored[2 + j] * factor;
        }
    }

    /// <summary>Q4_0: <c>[d: f16 | q: 32 x 4 bits]</c>, element = d (q - 8).</summary>
    internal static void DecodeQ4_0(ReadOnlySpan<byte> stored, Span<float> values)
    {
        const int Bytes = 18;
        for (int i = 0; i < values.Length; i += Elements, stored = stored[Bytes..])
        {
            float factor = Half(stored);
            for (int j = 0; j < Elements / 2; j++)
            {
                values[i + j] = ((stored[2 + j] & 15) - 8) * factor;
                values[i + 16 + j] = ((stored[2 + j] >> 4) - 8) * factor;
            }
        }
    }

    /// <summary>IQ4_NL: <c>[d: f16 | index: 32 x 4 bits]</c>, element = d <see cref="NonLinear"/>[index].</summary>
    internal static void DecodeIQ4_NL(ReadOnlySpan<byte> stored, Span<float> values)
    {
        const int Bytes = 18;
        for (int i = 0; i < values.Length; i += Elements, stored = stored[Bytes..])
            DecodeIndices(stored.Slice(2, 16), NonLinear, Half(stored), values.Slice(i, Elements));
    }

    /// <summary>
    /// MXFP4: <c>[e: E8M0 | index: 32 x E2M1]</c>, element = 2^(e - 127) E2M1. GGML stores the elements as twice their value and so halves
    /// the factor, to which it gives no NaN: e = 255 is 2^128 like any other exponent.
    /// </summary>
    internal static void DecodeMXFP4(ReadOnlySpan<byte> stored, Span<float> values)
    {
        const int Bytes = 17;
        for (int i = 0; i < values.Length; i += Elements, stored = stored[Bytes..])
            DecodeIndices(stored.Slice(1, 16), TwiceE2M1, MathF.ScaleB(1, stored[0] - 128), values.Slice(i, Elements));
    }

    /// <summary>16 bytes with the indices of 32 elements into a table.</summary>
    internal static void DecodeIndices(ReadOnlySpan<byte> indices, ReadOnlySpan<sbyte> table, float factor, Span<float> values)
    {
        for (int j = 0; j < Elements / 2; j++)
        {
            values[j] = factor * table[indices[j] & 15];
            values[16 + j] = factor * table[indices[j] >> 4];
        }
    }

    internal static float Half(ReadOnlySpan<byte> stored) => (float)BinaryPrimitives.ReadHalfLittleEndian(stored);
}
