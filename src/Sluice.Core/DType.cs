namespace Sluice.Core;

/// <summary>The element type of a stored tensor, named as in the safetensors specification.</summary>
public enum DType
{
    /// <summary>IEEE 754 binary32.</summary>
    F32,

    /// <summary>IEEE 754 binary16.</summary>
    F16,

    /// <summary>bfloat16: the upper half of a binary32.</summary>
    BF16,

    /// <summary>8-bit float, 4 exponent and 3 mantissa bits, bias 7, no infinities, NaN = 0x7F and 0xFF (OCP E4M3).</summary>
    F8E4M3,

    /// <summary>IEEE 754 binary64.</summary>
    F64,

    /// <summary>8-bit signed integer.</summary>
    I8,

    /// <summary>16-bit signed integer.</summary>
    I16,

    /// <summary>32-bit signed integer.</summary>
    I32,

    /// <summary>64-bit signed integer.</summary>
    I64,

    /// <summary>8-bit unsigned integer.</summary>
    U8,

    /// <summary>A byte that is 0 or 1.</summary>
    Bool,

    /// <summary>Any other type of the specification (F8_E5M2, U16, C64...): it may be present in a file, but nothing reads it.</summary>
    Other,
}

/// <summary>Facts about each <see cref="DType"/>.</summary>
public static class DTypes
{
    /// <summary>Bytes one element takes.</summary>
    public static int Size(this DType type) => type switch
    {
        DType.F8E4M3 or DType.I8 or DType.U8 or DType.Bool => 1,
        DType.F16 or DType.BF16 or DType.I16 => 2,
        DType.F32 or DType.I32 => 4,
        DType.F64 or DType.I64 => 8,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not a stored element type"),
    };
}
