using System.Runtime.InteropServices;
using Sluice.Memory;

namespace Sluice.Cpu.Weights;

/// <summary>
/// A file of packed weights, mapped: <c>[header | directory | pieces]</c>, pieces from a multiple of 2 MiB on, each at a multiple of 64 bytes. Nothing in it
/// is trusted but the numbers of the weights themselves.
/// </summary>
internal sealed unsafe class PackedFile : IDisposable
{
    private readonly MappedFile _file;
    private readonly Dictionary<WeightKey, PackedEntry> _entries;

    private PackedFile(MappedFile file, Dictionary<WeightKey, PackedEntry> entries) => (_file, _entries) = (file, entries);

    /// <summary>Opens a file. Null where there is none, or where it is refused; then <paramref name="refusal"/> says why.</summary>
    public static PackedFile? Open(PackedWeightsOptions options, ActivationPrecision precision, out string? refusal)
    {
        refusal = null;
        MappedFile? file = null;
        try
        {
            if (!Path.Exists(options.Path))
                return null;
            file = MappedFile.Open(options.Path);
            refusal = Check(file, options.Source.Span, precision, out Dictionary<WeightKey, PackedEntry> entries);
            if (refusal is not null)
                return null;
            file.AdviseHugePages();
            PackedFile opened = new(file, entries);
            file = null;
            return opened;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            refusal = $"cannot be read: {e.Message}";
            return null;
        }
        finally
        {
            file?.Dispose();
        }
    }

    /// <summary>A piece of so many bytes, or null.</summary>
    public byte* Find(in WeightKey key, long bytes) =>
        _entries.TryGetValue(key, out PackedEntry entry) && entry.Bytes == bytes ? _file.Address(entry.Offset, bytes) : null;

    public void Dispose() => _file.Dispose();

    /// <summary>Null, or what is wrong with a file.</summary>
    private static string? Check(MappedFile file, ReadOnlySpan<byte> source, ActivationPrecision precision, out Dictionary<WeightKey, PackedEntry> entries)
    {
        entries = [];
        ReadOnlySpan<byte> front = file.Span(0, (int)Math.Min(file.Length, PackedHeader.Bytes));
        if (PackedHeader.Read(front) is not { } header)
            return "is not a file of packed weights";
        if (header.Layout != PackedLayout.Version)
            return $"has layout {header.Layout}, and this program's is {PackedLayout.Version}";
        if (header.Length != file.Length)
            return $"has {file.Length} bytes and should have {header.Length}";
        if (header.Entries < 0 || header.Entries > Math.Min(int.MaxValue, file.Length - PackedHeader.Bytes) / sizeof(PackedEntry))
            return $"is damaged: it claims {header.Entries} entries";
        ReadOnlySpan<byte> directory = file.Span(PackedHeader.Bytes, (int)header.Entries * sizeof(PackedEntry));
        if (!PackedHeader.IsIntact(front, directory))
            return "is damaged: its header and directory do not have their checksum";
        if (!source.SequenceEqual(header.Source))
            return "was packed from another checkpoint, or from this one before it changed";
        if (header.Precision != (int)precision)
            return "was packed for other activations";

        entries.EnsureCapacity((int)header.Entries);
        foreach (ref readonly PackedEntry entry in MemoryMarshal.Cast<byte, PackedEntry>(directory))
        {
            if (entry.Offset < PackedHeader.Bytes + directory.Length || entry.Offset % Arena.Alignment != 0 || entry.Bytes < 0
                || entry.Offset > file.Length - entry.Bytes || !entries.TryAdd(entry.Key, entry))
            {
                return $"is damaged: {entry.Bytes} bytes at {entry.Offset} are no piece of it";
            }
        }

        return null;
    }
}

/// <summary>Where a piece lies, 48 bytes of the directory.</summary>
internal readonly record struct PackedEntry(WeightKey Key, long Offset, long Bytes);
