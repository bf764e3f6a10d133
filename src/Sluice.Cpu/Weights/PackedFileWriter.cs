using System.Diagnostics;
using System.Runtime.InteropServices;
using Sluice.Memory;

namespace Sluice.Cpu.Weights;

/// <summary>
/// Writes a file of packed weights in pieces of whole huge pages, at multiples of those: then Linux caches the file in huge pages, and maps it so.
/// </summary>
internal sealed unsafe class PackedFileWriter
{
    private const int BufferBytes = 8 << 20;
    private const long DataAlignment = 2L << 20;

    private readonly byte[] _buffer = new byte[BufferBytes];
    private readonly UnfinishedFile _file;
    private readonly IProgress<long>? _progress;
    private readonly CancellationToken _cancellation;
    private int _filled;
    private long _written;

    private PackedFileWriter(UnfinishedFile file, IProgress<long>? progress, CancellationToken cancellation) =>
        (_file, _progress, _cancellation) = (file, progress, cancellation);

    /// <summary>Bytes of a file of these pieces.</summary>
    public static long LengthOf(IReadOnlyList<WeightPiece> pieces)
    {
        long length = DataStart(pieces.Count);
        foreach (WeightPiece piece in pieces)
            length = checked(length + piece.Bytes);
        return length;
    }

    /// <summary>Writes a file, which takes its name only when it is complete.</summary>
    /// <param name="options">Where, and what the weights were packed from.</param>
    /// <param name="precision">What they were packed for.</param>
    /// <param name="pieces">The pieces, in the order in which they are to lie; each whole cache lines.</param>
    /// <param name="progress">Told of bytes written.</param>
    /// <param name="cancellation">Gives up; nothing is left then.</param>
    /// <exception cref="IOException">There is no room, or another process is writing it.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written.</exception>
    public static void Write(
        PackedWeightsOptions options, ActivationPrecision precision, IReadOnlyList<WeightPiece> pieces, IProgress<long>? progress, CancellationToken cancellation)
    {
        Debug.Assert(BitConverter.IsLittleEndian, "weights are packed little-endian");
        long length = LengthOf(pieces);
        byte[] front = new byte[DataStart(pieces.Count)];
        Span<byte> directory = front.AsSpan(PackedHeader.Bytes, pieces.Count * sizeof(PackedEntry));
        long offset = front.Length;
        for (int i = 0; i < pieces.Count; i++)
        {
            MemoryMarshal.Cast<byte, PackedEntry>(directory)[i] = new PackedEntry(pieces[i].Key, offset, pieces[i].Bytes);
            offset += pieces[i].Bytes;
        }

        new PackedHeader(PackedLayout.Version, (int)precision, options.Source.ToArray(), length, pieces.Count).Write(front, directory);
        using var file = UnfinishedFile.CreateShared(options.Path, length);
        PackedFileWriter writer = new(file, progress, cancellation);
        writer.Append(front);
        foreach (WeightPiece piece in pieces)
        {
            for (long at = 0; at < piece.Bytes; at += BufferBytes)
                writer.Append(new ReadOnlySpan<byte>(piece.Data + at, (int)Math.Min(BufferBytes, piece.Bytes - at)));
        }

        writer.Flush();
        file.Complete();
    }

    private static long DataStart(int pieces) => (PackedHeader.Bytes + (pieces * (long)sizeof(PackedEntry)) + DataAlignment - 1) & -DataAlignment;

    private void Append(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int count = Math.Min(bytes.Length, _buffer.Length - _filled);
            bytes[..count].CopyTo(_buffer.AsSpan(_filled));
            _filled += count;
            bytes = bytes[count..];
            if (_filled == _buffer.Length)
                Flush();
        }
    }

    private void Flush()
    {
        _cancellation.ThrowIfCancellationRequested();
        _file.Write(_buffer.AsSpan(0, _filled));
        _written += _filled;
        _filled = 0;
        _progress?.Report(_written);
    }
}
