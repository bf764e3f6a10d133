using System.Buffers.Binary;
using Sluice.Core.Blocks;

namespace Sluice.Core;

/// <summary>
/// Exact decoding of the floating-point types that weights are stored in, and round-to-nearest-even encoding of those that a
/// quantiser writes. Bytes are little-endian, as safetensors and GGUF store them.
/// </summary>
public static class StoredNumbers
{
    private const float LargestF8E4M3 = 448f;

    private static readonly float[] F8E4M3Values = TabulateF8E4M3();

    /// <summary>Whether <paramref name="type"/> is one of the types weights may have: F32, F16, BF16, F8E4M3 or in blocks.</summary>
    public static bool IsWeightType(this DType type) =>
        type is DType.F32 or DType.F16 or DType.BF16 or DType.F8E4M3 || type.IsBlocked();

    /// <summary>
    /// Decodes <paramref name="stored"/>, as many elements as <paramref name="values"/> holds: whole blocks where the type has them. All
    /// decode without rounding, but for the one of an element that is a product less an offset (Q2_K, Q4_K, Q5_K): GGML's values, to the bit.
    /// </summary>
    /// <exception cref="ArgumentException">The type is not one that weights may have, or the lengths differ.</exception>
    public static void Decode(DType type, ReadOnlySpan<byte> stored, Span<float> values)
    {
        if (!type.IsWeightType())
            throw new ArgumentException($"expected weights in F32, F16, BF16, F8E4M3 or blocks, found {type}", nameof(type));
        int bytes = type.RowBytes(values.Length);
        if (stored.Length != bytes)
            throw new ArgumentException($"expected {bytes} bytes for {values.Length} {type}, found {stored.Length}", nameof(stored));

        switch (type)
        {
            case DType.F32:
                for (int i = 0; i < values.Length; i++)
                    values[i] = BinaryPrimitives.ReadSingleLittleEndian(stored[(4 * i)..]);
                break;
            case DType.F16:
                for (int i = 0; i < values.Length; i++)
                    values[i] = (float)BinaryPrimitives.ReadHalfLittleEndian(stored[(2 * i)..]);
                break;
            case DType.BF16:
                for (int i = 0; i < values.Length; i++)
                    values[i] = FromBF16(BinaryPrimitives.ReadUInt16LittleEndian(stored[(2 * i)..]));
                break;
            case DType.F8E4M3:
                for (int i = 0; i < values.Length; i++)
                    values[i] = FromF8E4M3(stored[i]);
                break;
            case DType.Q8_0:
                SmallBlocks.DecodeQ8_0(stored, values);
                break;
            case DType.Q4_0:
                SmallBlocks.DecodeQ4_0(stored, values);
                break;
            case DType.Q2_K:
                SuperBlocks.DecodeQ2_K(stored, values);
                break;
            case DType.Q3_K:
                SuperBlocks.DecodeQ3_K(stored, values);
                break;
            case DType.Q4_K:
                SuperBlocks.DecodeQ4_K(stored, values);
                break;
            case DType.Q5_K:
                SuperBlocks.DecodeQ5_K(stored, values);
                break;
            case DType.Q6_K:
                SuperBlocks.DecodeQ6_K(stored, values);
                break;
            case DType.IQ4_NL:
                SmallBlocks.DecodeIQ4_NL(stored, values);
                break;
            case DType.IQ4_XS:
                SuperBlocks.DecodeIQ4_XS(stored, values);
                break;
            default:
                SmallBlocks.DecodeMXFP4(stored, values);
                break;
        }
    }

    /// <summary>The value of a bfloat16: the upper half of a binary32.</summary>
    public static float FromBF16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    /// <summary>The bfloat16 nearest to <paramref name="value"/>, ties to even; a NaN stays a NaN.</summary>
    public static ushort ToBF16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value))
            return (ushort)((bits >> 16) | 0x40); // keeps the payload's top bits and makes the NaN quiet, so that it is not cut to an infinity
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>The value of an OCP E4M3 byte: sign, 4 exponent bits of bias 7, 3 mantissa bits; no infinities.</summary>
    public static float FromF8E4M3(byte bits) => F8E4M3Values[bits];

    /// <summary>
    /// The E4M3 byte nearest to <paramref name="value"/>, ties to even; beyond 448 it saturates, and a NaN stays a NaN.
    /// </summary>
    public static byte ToF8E4M3(float value)
    {
        byte sign = float.IsNegative(value) ? (byte)0x80 : (byte)0;
        if (float.IsNaN(value))
            return (byte)(sign | 0x7F);
        float magnitude = Math.Min(Math.Abs(value), LargestF8E4M3);

        // Numbers of one binade lie 2^(exponent - 3) apart, subnormals 2^-9. Dividing by a power of two is exact, so the only
        // rounding is the one asked for; a carry into the next binade falls out of the addition.
        int exponent = Math.Max(magnitude == 0 ? -6 : Math.ILogB(magnitude), -6);
        int steps = (int)MathF.Round(MathF.ScaleB(magnitude, 3 - exponent), MidpointRounding.ToEven);
        return (byte)(sign | (((exponent + 6) * 8) + steps));
    }

    private static float[] TabulateF8E4M3()
    {
        float[] values = new float[256];
        for (int bits = 0; bits < 256; bits++)
        {
            int exponent = (bits >> 3) & 15;
            int mantissa = bits & 7;
            float magnitude = (exponent, mantissa) switch
            {
                (15, 7) => float.NaN,
                (0, _) => MathF.ScaleB(mantissa, -9),
                _ => MathF.ScaleB(8 + mantissa, exponent - 10),
            };
            values[bits] = bits < 128 ? magnitude : -magnitude;
        }

        return values;
    }
}
