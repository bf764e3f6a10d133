using System.Buffers;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Sluice.Core;

namespace Sluice.Cpu.Weights;

/// <summary>How a piece of packed weights is made of its sources.</summary>
internal enum PieceKind : byte
{
    /// <summary>Panels of the sources' rows, one source after another.</summary>
    Panels,

    /// <summary>Panels of gate and up in turn.</summary>
    InterleavedPanels,

    /// <summary>Rows as they are stored.</summary>
    Rows,
}

/// <summary>SHA-256 of what a piece of packed weights is made of: the same at every start, in whatever order pieces are packed.</summary>
internal readonly record struct WeightKey(UInt128 First, UInt128 Second)
{
    [ThreadStatic]
    private static ArrayBufferWriter<byte>? _writer;

    /// <summary>The key of a piece.</summary>
    public static WeightKey Of(PieceKind kind, DType packedType, IEnumerable<MatrixSource> sources)
    {
        ArrayBufferWriter<byte> writer = _writer ??= new();
        writer.ResetWrittenCount();
        writer.Write([(byte)kind, (byte)packedType]);
        foreach (MatrixSource source in sources)
            source.WriteIdentity(writer);
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(writer.WrittenSpan, hash);
        return MemoryMarshal.Read<WeightKey>(hash);
    }
}

/// <summary>A piece of packed weights in memory.</summary>
/// <param name="Name">The first source's, by which pieces are put in order in a file.</param>
/// <param name="Key">What it is.</param>
/// <param name="Address">Where it is.</param>
/// <param name="Bytes">How long it is, a multiple of <see cref="Sluice.Memory.Arena.Alignment"/>.</param>
internal readonly unsafe record struct WeightPiece(string Name, WeightKey Key, nint Address, long Bytes)
{
    /// <summary>Its first byte.</summary>
    public byte* Data => (byte*)Address;
}
