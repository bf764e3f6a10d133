using System.Buffers.Binary;
using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>Stored floats, little-endian, as float32: exact, for every type here fits in it.</summary>
internal static class Floats
{
    internal static bool CanWiden(DType type) => type is DType.F32 or DType.F16 or DType.BF16;

    internal static void Widen(DType type, ReadOnlySpan<byte> stored, Span<float> values)
    {
        if (stored.Length != values.Length * type.Size())
            throw new ArgumentException($"{stored.Length} bytes are not {values.Length} of {type}", nameof(stored));

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
                    values[i] = BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadUInt16LittleEndian(stored[(2 * i)..]) << 16);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, "not a type that widens to float32");
        }
    }
}
