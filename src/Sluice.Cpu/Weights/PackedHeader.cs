using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Sluice.Cpu.Weights;

/// <summary>The front of a file of packed weights, 128 bytes; a directory of <see cref="Entries"/> follows it.</summary>
/// <param name="Layout"><see cref="PackedLayout.Version"/> of the program that wrote it.</param>
/// <param name="Precision">The activations it was packed for.</param>
/// <param name="Source">SHA-256 of what tells the weights' source.</param>
/// <param name="Length">Bytes of the whole file.</param>
/// <param name="Entries">Entries of the directory.</param>
internal sealed record PackedHeader(int Layout, int Precision, byte[] Source, long Length, long Entries)
{
    /// <summary>Its size.</summary>
    public const int Bytes = 128;

    private const int SourceAt = 16;
    private const int LengthAt = SourceAt + SHA256.HashSizeInBytes;
    private const int ChecksumAt = LengthAt + (2 * sizeof(long));

    private static ReadOnlySpan<byte> Magic => "SLUICEPW"u8;

    /// <summary>Reads one; null where there is none.</summary>
    public static PackedHeader? Read(ReadOnlySpan<byte> front) => front.Length < Bytes || !front.StartsWith(Magic)
        ? null
        : new PackedHeader(
            BinaryPrimitives.ReadInt32LittleEndian(front[8..]), BinaryPrimitives.ReadInt32LittleEndian(front[12..]),
            front[SourceAt..LengthAt].ToArray(),
            BinaryPrimitives.ReadInt64LittleEndian(front[LengthAt..]), BinaryPrimitives.ReadInt64LittleEndian(front[(LengthAt + 8)..]));

    /// <summary>Writes it, with a checksum of what is before that and of the directory.</summary>
    public void Write(Span<byte> front, ReadOnlySpan<byte> directory)
    {
        Magic.CopyTo(front);
        BinaryPrimitives.WriteInt32LittleEndian(front[8..], Layout);
        BinaryPrimitives.WriteInt32LittleEndian(front[12..], Precision);
        Source.CopyTo(front[SourceAt..LengthAt]);
        BinaryPrimitives.WriteInt64LittleEndian(front[LengthAt..], Length);
        BinaryPrimitives.WriteInt64LittleEndian(front[(LengthAt + 8)..], Entries);
        Checksum(front, directory, front[ChecksumAt..]);
    }

    /// <summary>Whether a front and its directory have the checksum that the front says.</summary>
    public static bool IsIntact(ReadOnlySpan<byte> front, ReadOnlySpan<byte> directory)
    {
        Span<byte> checksum = stackalloc byte[SHA256.HashSizeInBytes];
        Checksum(front, directory, checksum);
        return front.Slice(ChecksumAt, checksum.Length).SequenceEqual(checksum);
    }

    private static void Checksum(ReadOnlySpan<byte> front, ReadOnlySpan<byte> directory, Span<byte> checksum)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(front[..ChecksumAt]);
        hash.AppendData(directory);
        hash.GetHashAndReset(checksum);
    }
}
