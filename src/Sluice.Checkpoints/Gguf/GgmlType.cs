using Sluice.Core;

namespace Sluice.Checkpoints.Gguf;

/// <summary>A tensor type as GGML numbers it: the size of its blocks, and what here reads it, if anything does.</summary>
internal readonly record struct GgmlType(uint Number, string Name, int Elements, int Bytes, DType Type)
{
    /// <summary>Every type whose size is known, so that files that hold one nothing reads can still be checked and described.</summary>
    private static readonly GgmlType[] All =
    [
        Known(0, DType.F32),
        Known(1, DType.F16),
        Known(2, DType.Q4_0),
        new(3, "Q4_1", 32, 20, DType.Other),
        new(6, "Q5_0", 32, 22, DType.Other),
        new(7, "Q5_1", 32, 24, DType.Other),
        Known(8, DType.Q8_0),
        new(9, "Q8_1", 32, 36, DType.Other),
        Known(10, DType.Q2_K),
        Known(11, DType.Q3_K),
        Known(12, DType.Q4_K),
        Known(13, DType.Q5_K),
        Known(14, DType.Q6_K),
        new(15, "Q8_K", 256, 292, DType.Other),
        new(16, "IQ2_XXS", 256, 66, DType.Other),
        new(17, "IQ2_XS", 256, 74, DType.Other),
        new(18, "IQ3_XXS", 256, 98, DType.Other),
        new(19, "IQ1_S", 256, 50, DType.Other),
        Known(20, DType.IQ4_NL),
        new(21, "IQ3_S", 256, 110, DType.Other),
        new(22, "IQ2_S", 256, 82, DType.Other),
        Known(23, DType.IQ4_XS),
        Known(24, DType.I8),
        Known(25, DType.I16),
        Known(26, DType.I32),
        Known(27, DType.I64),
        Known(28, DType.F64),
        new(29, "IQ1_M", 256, 56, DType.Other),
        Known(30, DType.BF16),
        new(34, "TQ1_0", 256, 54, DType.Other),
        new(35, "TQ2_0", 256, 66, DType.Other),
        Known(39, DType.MXFP4),
        new(40, "NVFP4", 64, 36, DType.Other),
    ];

    internal static GgmlType? Find(uint number)
    {
        foreach (GgmlType type in All)
        {
            if (type.Number == number)
                return type;
        }

        return null;
    }

    /// <summary>The number a type is written with.</summary>
    /// <exception cref="ArgumentOutOfRangeException">GGML has no such type.</exception>
    internal static uint NumberOf(DType type)
    {
        foreach (GgmlType known in All)
        {
            if (known.Type == type && type != DType.Other)
                return known.Number;
        }

        throw new ArgumentOutOfRangeException(nameof(type), type, "not a type of GGUF files");
    }

    private static GgmlType Known(uint number, DType type) => new(number, type.ToString(), type.Block().Elements, type.Block().Bytes, type);
}
