using System.Buffers.Binary;
using Sluice.Core;

namespace Sluice.Checkpoints.Quantising;

/// <summary>
/// Stores numbers in GGML's block types. Q8_0 has one right answer; for the others a block's factors are searched, so that the squared
/// error is small where large weights are, which is where an error costs most.
/// </summary>
public static class BlockEncoder
{
    /// <summary>Largest magnitude that may be encoded: a block's factor is a binary16.</summary>
    public const float Largest = 65504f;

    private const int SmallBlock = 32;

    /// <summary>Whether <see cref="Encode"/> can write a type.</summary>
    public static bool CanEncode(DType type) => type is DType.Q8_0 or DType.Q4_K or DType.Q5_K or DType.Q6_K;

    /// <summary>Encodes <paramref name="values"/>, whole blocks of finite numbers up to <see cref="Largest"/>, into as many stored bytes.</summary>
    /// <exception cref="ArgumentException">The type is not one that can be written, or the lengths do not match.</exception>
    public static void Encode(DType type, ReadOnlySpan<float> values, Span<byte> stored)
    {
        if (!CanEncode(type))
            throw new ArgumentException($"expected Q8_0, Q4_K, Q5_K or Q6_K, found {type}", nameof(type));
        if (stored.Length != type.RowBytes(values.Length))
            throw new ArgumentException($"expected {type.RowBytes(values.Length)} bytes for {values.Length} {type}, found {stored.Length}", nameof(stored));

        (int elements, int bytes) = type.Block();
        for (; values.Length > 0; values = values[elements..], stored = stored[bytes..])
        {
            switch (type)
            {
                case DType.Q8_0:
                    EncodeQ8_0(values[..elements], stored[..bytes]);
                    break;
                case DType.Q6_K:
                    SymmetricBlocks.EncodeQ6_K(values[..elements], stored[..bytes]);
                    break;
                default:
                    OffsetBlocks.Encode(type, values[..elements], stored[..bytes]);
                    break;
            }
        }
    }

    /// <summary>d = largest magnitude / 127; elements to the nearest, ties away from zero.</summary>
    private static void EncodeQ8_0(ReadOnlySpan<float> values, Span<byte> stored)
    {
        float largest = 0;
        foreach (float value in values)
            largest = Math.Max(largest, Math.Abs(value));
        float factor = largest / 127;
        float inverse = factor == 0 ? 0 : 1 / factor;
        BinaryPrimitives.WriteHalfLittleEndian(stored, (Half)factor);

        // The inverse of a subnormal factor is infinite; what it stands for is 0 as a binary16.
        if (!float.IsFinite(inverse))
            inverse = 0;
        for (int i = 0; i < SmallBlock; i++)
            stored[2 + i] = (byte)(sbyte)MathF.Round(values[i] * inverse, MidpointRounding.AwayFromZero);
    }
}
