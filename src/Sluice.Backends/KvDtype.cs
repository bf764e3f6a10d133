namespace Sluice.Backends;

/// <summary>What keys and values are kept as between steps. What attention computes with them is float32 on the CPU always.</summary>
public enum KvDtype
{
    /// <summary>What the device does best; see each device.</summary>
    Auto,

    /// <summary>As they are computed.</summary>
    Float32,

    /// <summary>Rounded to the nearest bfloat16: half the memory.</summary>
    BF16,

    /// <summary>
    /// Rounded to a 127th of the largest element of each key and each value of a head (<see cref="KvRounding.ToInt8"/>), with that factor in float32: a
    /// quarter of the memory and a little more.
    /// </summary>
    Int8,
}

/// <summary>Facts about each <see cref="KvDtype"/>.</summary>
public static class KvDtypes
{
    /// <summary>Bytes of one key or value of a head, without a device's padding.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The type is not resolved.</exception>
    public static int BytesOfHead(this KvDtype type, int headDim) => type switch
    {
        KvDtype.Float32 => headDim * sizeof(float),
        KvDtype.BF16 => headDim * sizeof(ushort),
        KvDtype.Int8 => headDim + sizeof(float),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not a type that a device keeps"),
    };
}
