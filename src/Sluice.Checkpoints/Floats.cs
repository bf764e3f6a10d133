using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>Stored floats, little-endian, as float32: exact, for every type here fits in it.</summary>
internal static class Floats
{
    internal static bool CanWiden(DType type) => type is DType.F32 or DType.F16 or DType.BF16;

    internal static void Widen(DType type, ReadOnlySpan<byte> stored, Span<float> values)
    {
        if (!CanWiden(type))
            throw new ArgumentOutOfRangeException(nameof(type), type, "not a type that widens to float32");
        StoredNumbers.Decode(type, stored, values);
    }
}
