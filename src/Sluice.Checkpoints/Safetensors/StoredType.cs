using Sluice.Core;

namespace Sluice.Checkpoints.Safetensors;

/// <summary>An element type as the safetensors specification names it. Some take less than a byte.</summary>
internal readonly record struct StoredType(string Name, int Bits, DType Type)
{
    /// <summary>Every type of the specification (safetensors 0.7).</summary>
    private static readonly StoredType[] All =
    [
        new("BF16", 16, DType.BF16),
        new("F32", 32, DType.F32),
        new("F8_E4M3", 8, DType.F8E4M3),
        new("F16", 16, DType.F16),
        new("F64", 64, DType.F64),
        new("I8", 8, DType.I8),
        new("I16", 16, DType.I16),
        new("I32", 32, DType.I32),
        new("I64", 64, DType.I64),
        new("U8", 8, DType.U8),
        new("BOOL", 8, DType.Bool),
        new("U16", 16, DType.Other),
        new("U32", 32, DType.Other),
        new("U64", 64, DType.Other),
        new("C64", 64, DType.Other),
        new("F8_E5M2", 8, DType.Other),
        new("F8_E8M0", 8, DType.Other),
        new("F8_E4M3FNUZ", 8, DType.Other),
        new("F8_E5M2FNUZ", 8, DType.Other),
        new("F6_E2M3", 6, DType.Other),
        new("F6_E3M2", 6, DType.Other),
        new("F4", 4, DType.Other),
    ];

    private static readonly byte[][] Utf8Names = [.. All.Select(type => System.Text.Encoding.UTF8.GetBytes(type.Name))];

    internal static bool TryParse(ReadOnlySpan<byte> utf8, out StoredType type)
    {
        for (int i = 0; i < Utf8Names.Length; i++)
        {
            if (utf8.SequenceEqual(Utf8Names[i]))
            {
                type = All[i];
                return true;
            }
        }

        type = default;
        return false;
    }

    internal static string NameOf(DType type)
    {
        foreach (StoredType known in All)
        {
            if (known.Type == type)
                return type == DType.Other ? "other" : known.Name;
        }

        throw new ArgumentOutOfRangeException(nameof(type), type, "not a stored element type");
    }
}
