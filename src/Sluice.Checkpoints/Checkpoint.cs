using Sluice.Checkpoints.Safetensors;
using Sluice.Core;
using Sluice.Memory;

namespace Sluice.Checkpoints;

/// <summary>
/// A Hugging Face checkpoint on disk: config.json, generation_config.json if there is one, and safetensors, mapped into memory.
/// Opening reads headers only.
/// </summary>
/// <remarks>
/// As in transformers, a folder's <c>model.safetensors</c> wins; without it, <c>model.safetensors.index.json</c> says which shards there
/// are. Other files of the folder are never looked at. Nothing in a checkpoint is ever executed.
/// </remarks>
public sealed class Checkpoint : TensorStore
{
    /// <summary>Longest configuration that is read, 100 times any real one: parsed JSON can take six times its text.</summary>
    internal const long MaxConfigBytes = 4L << 20;

    /// <summary>Longest index that is read, eight times that of 74,000 tensors.</summary>
    internal const long MaxIndexBytes = 64L << 20;

    private const string SingleFile = "model.safetensors";
    private const string IndexFile = "model.safetensors.index.json";

    private readonly MappedFile[] _files;
    private readonly Dictionary<string, TensorInfo> _tensors;

    private Checkpoint(
        string folder, ModelConfig config, GenerationDefaults generation, MappedFile[] files, Dictionary<string, TensorInfo> tensors)
    {
        Folder = folder;
        Config = config;
        Generation = generation;
        _files = files;
        _tensors = tensors;
    }

    /// <summary>The folder it was opened from.</summary>
    public string Folder { get; }

    /// <inheritdoc/>
    public override ModelConfig Config { get; }

    /// <summary>What generation_config.json suggests; empty when there is none.</summary>
    public GenerationDefaults Generation { get; }

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <summary>Every tensor.</summary>
    public IReadOnlyCollection<TensorInfo> Tensors => _tensors.Values;

    /// <summary>The weight files, in the order <see cref="TensorInfo.Shard"/> counts them.</summary>
    public IReadOnlyList<string> Files => [.. _files.Select(file => file.Path)];

    /// <summary>Bytes of all weight files.</summary>
    public long ByteLength => _files.Sum(file => file.Length);

    /// <summary>Opens a folder.</summary>
    /// <exception cref="CheckpointException">A file is missing, unreadable, breaks its format or contradicts another.</exception>
    /// <exception cref="ConfigurationException">A configuration is malformed or asks for what is not implemented.</exception>
    public static Checkpoint Open(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!Directory.Exists(folder))
            throw new CheckpointException($"{folder}: there is no such folder");

        ModelConfig config = ModelConfigReader.Read(ReadJson(folder, "config.json", MaxConfigBytes));
        string generationPath = Path.Combine(folder, "generation_config.json");
        GenerationDefaults generation =
            File.Exists(generationPath) ? GenerationDefaults.Read(ReadJson(folder, "generation_config.json", MaxConfigBytes)) : GenerationDefaults.None;

        var files = new List<MappedFile>();
        try
        {
            Dictionary<string, TensorInfo> tensors = OpenWeights(folder, files);
            return new Checkpoint(folder, WithActualPrefix(config, tensors), generation, [.. files], tensors);
        }
        catch
        {
            foreach (MappedFile file in files)
                file.Dispose();
            throw;
        }
    }

    /// <summary>Finds a tensor by name alone.</summary>
    public TensorInfo? Find(string name) => _tensors.GetValueOrDefault(name);

    /// <inheritdoc/>
    public override bool Has(string name) => _tensors.ContainsKey(name);

    /// <inheritdoc/>
    public override TensorInfo? Find(string name, ReadOnlySpan<int> expectedShape, DType expectedType) => Find(name);

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Bytes(TensorInfo tensor, long offset, int count, Span<byte> scratch)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (offset < 0 || count < 0 || offset > tensor.ByteLength - count)
            throw new ArgumentOutOfRangeException(nameof(offset), $"{tensor.Name}: {count} bytes from {offset} are not in its {tensor.ByteLength}");
        return _files[tensor.Shard].Span(tensor.Offset + offset, count);
    }

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

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        foreach (MappedFile file in _files)
            file.Dispose();
        base.Dispose(disposing);
    }

    private static Dictionary<string, TensorInfo> OpenWeights(string folder, List<MappedFile> files)
    {
        var tensors = new Dictionary<string, TensorInfo>(StringComparer.Ordinal);
        if (File.Exists(Path.Combine(folder, SingleFile)))
        {
            ReadShard(folder, SingleFile, files, tensors);
            return tensors;
        }

        if (!File.Exists(Path.Combine(folder, IndexFile)))
            throw new CheckpointException($"{folder}: has neither {SingleFile} nor {IndexFile}");

        ShardIndex index = ShardIndex.Parse(ReadJson(folder, IndexFile, MaxIndexBytes), IndexFile);
        string[] missing = [.. index.Files.Where(file => !File.Exists(Path.Combine(folder, file)))];
        if (missing.Length > 0)
            throw Several(IndexFile, [.. missing.Select(file => $"shard {Printable.Quote(file)} is not in {folder}")]);
        foreach (string shard in index.Files)
            ReadShard(folder, shard, files, tensors);
        CompareWithIndex(index, tensors);
        return tensors;
    }

    private static void ReadShard(string folder, string name, List<MappedFile> files, Dictionary<string, TensorInfo> tensors)
    {
        MappedFile file = Map(Path.Combine(folder, name));
        files.Add(file);
        int extent = SafetensorsHeader.Extent(file.Span(0, (int)Math.Min(file.Length, SafetensorsHeader.LengthBytes)), file.Length, name);
        SafetensorsHeader.Parse(file.Span(0, extent), file.Length, name, files.Count - 1, tensors);
    }

    private static void CompareWithIndex(ShardIndex index, Dictionary<string, TensorInfo> tensors)
    {
        var problems = new List<string>();
        foreach ((string name, int shard) in index.Tensors)
        {
            string expected = index.Files[shard];
            if (!tensors.TryGetValue(name, out TensorInfo? tensor))
                problems.Add($"tensor {Printable.Quote(name)} is not in {expected}");
            else if (tensor.Shard != shard)
                problems.Add($"tensor {Printable.Quote(name)} is not in {expected} but in {index.Files[tensor.Shard]}");
        }

        foreach (TensorInfo tensor in tensors.Values)
        {
            if (!index.Tensors.ContainsKey(tensor.Name))
                problems.Add($"tensor {Printable.Quote(tensor.Name)} of {index.Files[tensor.Shard]} is not in the weight_map");
        }

        if (problems.Count > 0)
            throw Several(IndexFile, problems);
    }

    internal static CheckpointException Several(string where, IReadOnlyList<string> problems) => new(
        problems.Count == 1 ? $"{where}: {problems[0]}" : $"{where}: {problems.Count} problems, the first: {problems[0]}", problems);

    /// <summary>A text model cut out of a multi-modal one keeps the nested configuration and may drop the nested names, or the reverse.</summary>
    private static ModelConfig WithActualPrefix(ModelConfig config, Dictionary<string, TensorInfo> tensors)
    {
        foreach (string prefix in (ReadOnlySpan<string>)[config.WeightPrefix, "model.", "model.language_model."])
        {
            if (tensors.ContainsKey(prefix + "embed_tokens.weight"))
                return config with { WeightPrefix = prefix };
        }

        return config;
    }

    private static byte[] ReadJson(string folder, string name, long limit)
    {
        using MappedFile file = Map(Path.Combine(folder, name));
        if (file.Length > limit)
            throw new CheckpointException($"{name}: is {file.Length} bytes long; at most {limit} are read");
        return file.Span(0, (int)file.Length).ToArray();
    }

    private static MappedFile Map(string path)
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
}
