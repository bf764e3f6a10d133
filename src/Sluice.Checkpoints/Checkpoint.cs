using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Sluice.Checkpoints.Gguf;
using Sluice.Checkpoints.Safetensors;
using Sluice.Core;
using Sluice.Memory;

namespace Sluice.Checkpoints;

/// <summary>
/// A model on disk, mapped into memory: a Hugging Face folder (config.json, safetensors) or a GGUF file, whose tensors appear under Hugging Face's names
/// and with its conventions. Opening reads headers only. Nothing in a checkpoint is ever executed.
/// </summary>
public abstract class Checkpoint : TensorStore
{
    // Longer than any header of a real model; a file that claims more has its front hashed.
    private const long MaxIdentityBytes = 64L << 20;

    private readonly MappedFile[] _files;

    private protected Checkpoint(string location, ModelConfig config, GenerationDefaults generation, MappedFile[] files)
    {
        Location = location;
        Config = config;
        Generation = generation;
        _files = files;
    }

    /// <summary>The folder or file it was opened from.</summary>
    public string Location { get; }

    /// <inheritdoc/>
    public override ModelConfig Config { get; }

    /// <summary>What its makers suggest for sampling; empty when they are silent.</summary>
    public GenerationDefaults Generation { get; }

    /// <summary>Every tensor.</summary>
    public abstract IReadOnlyCollection<TensorInfo> Tensors { get; }

    /// <summary>The weight files, in the order <see cref="TensorInfo.Shard"/> counts them.</summary>
    public IReadOnlyList<string> Files => [.. _files.Select(file => file.Path)];

    /// <summary>Bytes of all weight files.</summary>
    public long ByteLength => _files.Sum(file => file.Length);

    /// <summary>Opens a folder, or a GGUF file; of several that belong together, the first.</summary>
    /// <exception cref="CheckpointException">A file is missing, unreadable, breaks its format or contradicts another.</exception>
    /// <exception cref="ConfigurationException">A configuration is malformed or asks for what is not implemented.</exception>
    public static Checkpoint Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
            return SafetensorsCheckpoint.OpenFolder(path);
        return File.Exists(path) ? GgufCheckpoint.OpenFile(path) : throw new CheckpointException($"{path}: there is no such folder or file");
    }

    /// <summary>
    /// A hash that changes when the weight files do: of their names (not of where they lie), lengths, times of last writing, and headers. What it does not notice is other
    /// numbers in a file of the same length whose time was put back.
    /// </summary>
    /// <exception cref="CheckpointException">A file is gone.</exception>
    public byte[] Identity()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> numbers = stackalloc byte[2 * sizeof(long)];
        long[] headers = Array.ConvertAll(_files, file => Math.Min(file.Length, MaxIdentityBytes));
        foreach (TensorInfo tensor in Tensors)
            headers[tensor.Shard] = Math.Min(headers[tensor.Shard], tensor.Offset);
        for (int i = 0; i < _files.Length; i++)
        {
            hash.AppendData(Encoding.UTF8.GetBytes(Path.GetFileName(_files[i].Path) + "\0"));
            BinaryPrimitives.WriteInt64LittleEndian(numbers, _files[i].Length);
            BinaryPrimitives.WriteInt64LittleEndian(numbers[sizeof(long)..], LastWrite(_files[i].Path).Ticks);
            hash.AppendData(numbers);
            hash.AppendData(_files[i].Span(0, (int)headers[i]));
        }

        return hash.GetHashAndReset();
    }

    /// <summary>Finds a tensor by name alone.</summary>
    public abstract TensorInfo? Find(string name);

    /// <inheritdoc/>
    public override bool Has(string name) => Find(name) is not null;

    /// <inheritdoc/>
    public override TensorInfo? Find(string name, ReadOnlySpan<int> expectedShape, DType expectedType) => Find(name);

    /// <inheritdoc/>
    public override void CheckUnchanged()
    {
        foreach (MappedFile file in _files)
        {
            try
            {
                file.CheckUnchanged();
            }
            catch (IOException e)
            {
                throw new CheckpointException(e.Message, inner: e);
            }
        }
    }

    internal static CheckpointException Several(string where, IReadOnlyList<string> problems) => new(
        problems.Count == 1 ? $"{where}: {problems[0]}" : $"{where}: {problems.Count} problems, the first: {problems[0]}", problems);

    private protected static MappedFile Map(string path)
    {
        try
        {
            return MappedFile.Open(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(e.Message, inner: e);
        }
    }

    private static DateTime LastWrite(string path)
    {
        try
        {
            return File.GetLastWriteTimeUtc(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(e.Message, inner: e);
        }
    }

    private protected static void CheckRange(TensorInfo tensor, long offset, int count)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (offset < 0 || count < 0 || offset > tensor.ByteLength - count)
            throw new ArgumentOutOfRangeException(nameof(offset), $"{tensor.Name}: {count} bytes from {offset} are not in its {tensor.ByteLength}");
    }

    /// <summary>A view of a weight file.</summary>
    private protected ReadOnlySpan<byte> Stored(int shard, long offset, int count) => _files[shard].Span(offset, count);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        foreach (MappedFile file in _files)
            file.Dispose();
        base.Dispose(disposing);
    }
}
