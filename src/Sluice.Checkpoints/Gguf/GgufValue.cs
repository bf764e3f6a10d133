namespace Sluice.Checkpoints.Gguf;

/// <summary>What a metadata value holds, numbered as in files.</summary>
internal enum GgufValueType : uint
{
    UInt8 = 0,
    Int8 = 1,
    UInt16 = 2,
    Int16 = 3,
    UInt32 = 4,
    Int32 = 5,
    Float32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    UInt64 = 10,
    Int64 = 11,
    Float64 = 12,
}

/// <summary>
/// Where a metadata value lies. Its bytes stay in the file until somebody asks for them: most files carry a vocabulary that most
/// commands never look at.
/// </summary>
/// <param name="Type">What it is.</param>
/// <param name="Element">What its elements are, when it is an array.</param>
/// <param name="Count">Elements of an array; 1 otherwise.</param>
/// <param name="Offset">Its first byte: a string's length, an array's first element.</param>
/// <param name="Length">Its bytes.</param>
internal readonly record struct GgufValue(GgufValueType Type, GgufValueType Element, int Count, int Offset, int Length)
{
    /// <summary>Bytes of a number or truth value; 0 for a string or an array.</summary>
    internal static int SizeOf(GgufValueType type) => type switch
    {
        GgufValueType.UInt8 or GgufValueType.Int8 or GgufValueType.Bool => 1,
        GgufValueType.UInt16 or GgufValueType.Int16 => 2,
        GgufValueType.UInt32 or GgufValueType.Int32 or GgufValueType.Float32 => 4,
        GgufValueType.UInt64 or GgufValueType.Int64 or GgufValueType.Float64 => 8,
        _ => 0,
    };
}
