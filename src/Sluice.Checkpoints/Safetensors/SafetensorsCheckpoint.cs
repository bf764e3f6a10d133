using Sluice.Core;
using Sluice.Memory;

namespace Sluice.Checkpoints.Safetensors;

/// <summary>
/// A Hugging Face checkpoint on disk: config.json, generation_config.json if there is one, and safetensors, mapped into memory.
/// Opening reads headers only.
/// </summary>
/// <remarks>
/// As in transformers, a folder's <c>model.safetensors</c> wins; without it, <c>model.safetensors.index.json</c> says which shards there
/// are. Other files of the folder are never looked at. Nothing in a checkpoint is ever executed.
/// </remarks>
internal sealed class SafetensorsCheckpoint : Checkpoint
{
    /// <summary>Longest configuration that is read, 100 times any real one: parsed JSON can take six times its text.</summary>
    internal const long MaxConfigBytes = 4L << 20;

    /// <summary>Longest index that is read, eight times that of 74,000 tensors.</summary>
    internal const long MaxIndexBytes = 64L << 20;

    private const string SingleFile = "model.safetensors";
    private const string IndexFile = "model.safetensors.index.json";

    private readonly Dictionary<string, TensorInfo> _tensors;

    private SafetensorsCheckpoint(
        string folder, ModelConfig config, GenerationDefaults generation, MappedFile[] files, Dictionary<string, TensorInfo> tensors)
        : base(folder, config, generation, files) => _tensors = tensors;

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <inheritdoc/>
    public override IReadOnlyCollection<TensorInfo> Tensors => _tensors.Values;

    /// <summary>Opens a folder.</summary>
    /// <exception cref="CheckpointException">A file is missing, unreadable, breaks its format or contradicts another.</exception>
    /// <exception cref="ConfigurationException">A configuration is malformed or asks for what is not implemented.</exception>
    internal static SafetensorsCheckpoint OpenFolder(string folder)
    {
        ModelConfig config = ModelConfigReader.Read(ReadJson(folder, "config.json", MaxConfigBytes));
        string generationPath = Path.Combine(folder, "generation_config.json");
        GenerationDefaults generation =
            File.Exists(generationPath) ? GenerationDefaults.Read(ReadJson(folder, "generation_config.json", MaxConfigBytes)) : GenerationDefaults.None;

        var files = new List<MappedFile>();
        try
        {
            Dictionary<string, TensorInfo> tensors = OpenWeights(folder, files);
            return new SafetensorsCheckpoint(folder, WithActualPrefix(config, tensors), generation, [.. files], tensors);
        }
        catch
        {
            foreach (MappedFile file in files)
                file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override TensorInfo? Find(string name) => _tensors.GetValueOrDefault(name);

    /// <inheritdoc/>
    public override bool Has(string name) => _tensors.ContainsKey(name);

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Bytes(TensorInfo tensor, long offset, int count, Span<byte> scratch)
    {
        CheckRange(tensor, offset, count);
        return Stored(tensor.Shard, tensor.Offset + offset, count);
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
}
