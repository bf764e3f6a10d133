using Sluice.Core;
using Sluice.Cpu.Kernels;

namespace Sluice.Cpu.Weights;

/// <summary>
/// How quantised weights of one type lie in a panel: two strips of 16 outputs, each a sequence of superblocks of 256 columns, each
/// <c>[factors | elements]</c> of 8 blocks of 32 columns, with as many bits as the type has. Elements are unsigned, stored
/// <see cref="Offset"/> too large, four columns of an output to a 32-bit word: what <c>vpdpbusd</c> takes.
/// </summary>
/// <remarks>
/// A block of elements is [quads of columns, 16 outputs, 4]. Quads that fit a byte share it: with four bits, quad i has the lower half of
/// byte i and quad 4 + i the upper; a fifth bit of quad q is bit q; of two further bits, quad q has bits 2 (q mod 4).. of byte q / 4.
/// </remarks>
internal readonly record struct QuantisedFormat
{
    /// <summary>Outputs of a strip.</summary>
    public const int StripOutputs = 16;

    /// <summary>Columns of a superblock.</summary>
    public const int SuperColumns = 256;

    /// <summary>Columns of a block.</summary>
    public const int BlockColumns = 32;

    /// <summary>Bytes of a quad of columns of all outputs, unpacked.</summary>
    public const int QuadBytes = 4 * StripOutputs;

    /// <summary>Blocks of a superblock.</summary>
    public const int Blocks = SuperColumns / BlockColumns;

    private QuantisedFormat(DType type, FactorKind factors, int factorBytes, int lowBits, int highBits, int offset, RowForm form)
    {
        Type = type;
        Factors = factors;
        FactorBytes = factorBytes;
        LowBytes = StripOutputs * BlockColumns * lowBits / 8;
        HighBits = highBits;
        HighBytes = StripOutputs * BlockColumns * highBits / 8;
        Offset = offset;
        Form = form;
    }

    /// <summary>The type.</summary>
    public DType Type { get; }

    /// <summary>What elements are multiplied with.</summary>
    public FactorKind Factors { get; }

    /// <summary>Bytes of the factors of a superblock, at its start.</summary>
    public int FactorBytes { get; }

    /// <summary>Bytes of the lower (or only) bits of a block; those of all blocks follow the factors.</summary>
    public int LowBytes { get; }

    /// <summary>Bits of an element beyond the lower four.</summary>
    public int HighBits { get; }

    /// <summary>Bytes of the higher bits of a block; those of all blocks come last.</summary>
    public int HighBytes { get; }

    /// <summary>What stored elements are too large by.</summary>
    public int Offset { get; }

    /// <summary>The rows they multiply.</summary>
    public RowForm Form { get; }

    /// <summary>Bytes of a superblock of a strip, a multiple of 64.</summary>
    public int SuperBytes => FactorBytes + (Blocks * (LowBytes + HighBytes));

    /// <summary>The format of a type that has one.</summary>
    public static QuantisedFormat Of(DType type) => type switch
    {
        DType.Q8_0 => new QuantisedFormat(type, FactorKind.Single, 256, 8, 0, 128, RowForm.Int8Offset128),
        DType.Q4_0 => new QuantisedFormat(type, FactorKind.Single, 256, 4, 0, 8, RowForm.Int8Offset8),
        DType.Q4_K => new QuantisedFormat(type, FactorKind.WithOffset, 320, 4, 0, 0, RowForm.Int8),
        DType.Q5_K => new QuantisedFormat(type, FactorKind.WithOffset, 320, 4, 1, 0, RowForm.Int8),
        DType.Q6_K => new QuantisedFormat(type, FactorKind.ByHalves, 320, 4, 2, 32, RowForm.Int8Offset32),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not a quantised type that panels hold"),
    };

    /// <summary>
    /// The type in which panels hold weights of a stored type. Those without a kernel of their own take the nearest that has one: IQ4_NL as
    /// Q8_0 and Q3_K as Q6_K, both exactly; MXFP4 as BF16, exactly; Q2_K and IQ4_XS as BF16, rounded to its eight bits.
    /// </summary>
    public static DType PackedType(DType stored, ActivationPrecision precision) => stored switch
    {
        _ when !stored.IsBlocked() => stored,
        _ when precision == ActivationPrecision.Float32 => DType.F32,
        DType.IQ4_NL => DType.Q8_0,
        DType.Q3_K => DType.Q6_K,
        DType.MXFP4 or DType.Q2_K or DType.IQ4_XS => DType.BF16,
        _ => stored,
    };

    /// <summary>Superblocks of so many columns.</summary>
    public static int SuperBlocksOf(int columns) => (columns + SuperColumns - 1) / SuperColumns;
}

/// <summary>The factors of a superblock of a strip.</summary>
internal enum FactorKind
{
    /// <summary>[8 blocks, 16 outputs] d, binary16: d q.</summary>
    Single,

    /// <summary>[16] d, [16] dmin, binary16; [8, 16] sc, [4 pairs of blocks, 16, 2] m, bytes: d sc q - dmin m.</summary>
    WithOffset,

    /// <summary>[16] d, binary16, 32 bytes unused; [8, 2 halves of a block, 16] sc, signed bytes: d sc q.</summary>
    ByHalves,
}
