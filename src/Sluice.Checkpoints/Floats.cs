using System.Buffers.Binary;
using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>Stored floats, little-endian, as float32, which every type here fits in, and back.</summary>
internal static class Floats
{
    internal static bool CanWiden(DType type) => type is DType.F32 or DType.F16 or DType.BF16;

    /// <summary>Largest finite magnitude of a type.</summary>
    internal static float Largest(DType type) => type switch
    {
        DType.F16 => 65504f,
        DType.BF16 => 3.3895314e38f,
        _ => float.MaxValue,
    };

    internal static void Widen(DType type, ReadOnlySpan<byte> stored, Span<float> values)
    {
        if (!CanWiden(type))
            throw new ArgumentOutOfRangeException(nameof(type), type, "not a type that widens to float32");
        StoredNumbers.Decode(type, stored, values);
    }

    /// <summary>Stores numbers, rounded to the nearest, ties to even.</summary>
    internal static void Narrow(DType type, ReadOnlySpan<float> values, Span<byte> stored)
    {
        int size = type.Size();
        for (int i = 0; i < values.Length; i++)
        {
            Span<byte> element = stored.Slice(i * size, size);
            switch (type)
            {
                case DType.F32:
                    BinaryPrimitives.WriteSingleLittleEndian(element, values[i]);
                    break;
                case DType.F16:
                    BinaryPrimitives.WriteHalfLittleEndian(element, (Half)values[i]);
                    break;
                case DType.BF16:
                    BinaryPrimitives.WriteUInt16LittleEndian(element, StoredNumbers.ToBF16(values[i]));
                    break;
                default:
                    throw new ArgumentOutOfRangeException(nameof(type), type, "not a type that float32 narrows to");
            }
        }
    }
}
