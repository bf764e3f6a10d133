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

    /// <summary>GGML Q8_0: blocks of 32: a binary16 factor d, 32 signed bytes q; an element is d q.</summary>
    Q8_0,

    /// <summary>GGML Q4_0: blocks of 32: a binary16 factor d, 32 nibbles q; an element is d (q - 8).</summary>
    Q4_0,

    /// <summary>GGML Q2_K: blocks of 256, 16 groups of 16 with a 4-bit factor and a 4-bit offset each; 2 bits an element.</summary>
    Q2_K,

    /// <summary>GGML Q3_K: blocks of 256, 16 groups of 16 with a 6-bit factor each; 3 bits an element.</summary>
    Q3_K,

    /// <summary>GGML Q4_K: blocks of 256, 8 groups of 32 with a 6-bit factor and a 6-bit offset each; 4 bits an element.</summary>
    Q4_K,

    /// <summary>GGML Q5_K: as <see cref="Q4_K"/>, 5 bits an element.</summary>
    Q5_K,

    /// <summary>GGML Q6_K: blocks of 256, 16 groups of 16 with an 8-bit factor each; 6 bits an element.</summary>
    Q6_K,

    /// <summary>GGML IQ4_NL: blocks of 32: a binary16 factor, 32 indices into a table of 16 values.</summary>
    IQ4_NL,

    /// <summary>GGML IQ4_XS: blocks of 256, 8 groups of 32 with a 6-bit factor each; indices into the table of <see cref="IQ4_NL"/>.</summary>
    IQ4_XS,

    /// <summary>OCP MXFP4 as GGML stores it: blocks of 32: an E8M0 factor, 32 E2M1 elements.</summary>
    MXFP4,

    /// <summary>Any other type of the specification (F8_E5M2, U16, C64...): it may be present in a file, but nothing reads it.</summary>
    Other,
}

/// <summary>Facts about each <see cref="DType"/>.</summary>
public static class DTypes
{
    /// <summary>Bytes one element takes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Elements of the type come in blocks, or nothing here reads it.</exception>
    public static int Size(this DType type) => type.IsBlocked()
        ? throw new ArgumentOutOfRangeException(nameof(type), type, "elements of this type come in blocks")
        : type.Block().Bytes;

    /// <summary>Whether elements come in blocks of several with factors of their own, as in GGUF files' quantised types.</summary>
    public static bool IsBlocked(this DType type) => type is >= DType.Q8_0 and <= DType.MXFP4;

    /// <summary>The elements and the bytes of the smallest piece that stands alone: one element, or a block.</summary>
    public static (int Elements, int Bytes) Block(this DType type) => type switch
    {
        DType.F8E4M3 or DType.I8 or DType.U8 or DType.Bool => (1, 1),
        DType.F16 or DType.BF16 or DType.I16 => (1, 2),
        DType.F32 or DType.I32 => (1, 4),
        DType.F64 or DType.I64 => (1, 8),
        DType.Q8_0 => (32, 34),
        DType.Q4_0 or DType.IQ4_NL => (32, 18),
        DType.MXFP4 => (32, 17),
        DType.Q2_K => (256, 84),
        DType.Q3_K => (256, 110),
        DType.Q4_K => (256, 144),
        DType.Q5_K => (256, 176),
        DType.Q6_K => (256, 210),
        DType.IQ4_XS => (256, 136),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not a stored element type"),
    };

    /// <summary>Bytes of a row of <paramref name="columns"/> elements, which must be whole blocks.</summary>
    /// <exception cref="ArgumentException">They are not.</exception>
    /// <exception cref="OverflowException">A row would be larger than 2 GiB.</exception>
    public static int RowBytes(this DType type, int columns)
    {
        (int elements, int bytes) = type.Block();
        if (columns % elements != 0)
            throw new ArgumentException($"{columns} columns are not whole blocks of {elements} {type}", nameof(columns));
        return checked(columns / elements * bytes);
    }
}
