using Sluice.Core;
using Sluice.Memory;

namespace Sluice.Checkpoints.Gguf;

/// <summary>
/// A GGUF file, or several that belong together, mapped into memory. Its tensors appear under Hugging Face's names and with its shapes, values and
/// orders: see <see cref="GgufTensors"/>.
/// </summary>
internal sealed class GgufCheckpoint : Checkpoint
{
    private readonly Dictionary<string, GgufTensor> _tensors;

    private GgufCheckpoint(
        string path, GgufMetadata metadata, ModelConfig config, MappedFile[] files, IReadOnlyDictionary<string, TensorInfo> stored)
        : base(path, config, ReadGeneration(metadata), files)
    {
        Metadata = metadata;
        StoredTensors = stored;
        _tensors = new GgufTensors(config, Stored).Translate(stored.Values);
    }

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Names => _tensors.Keys;

    /// <inheritdoc/>
    public override IReadOnlyCollection<TensorInfo> Tensors => [.. _tensors.Values.Select(tensor => tensor.Info)];

    /// <summary>The metadata of the first file.</summary>
    internal GgufMetadata Metadata { get; }

    /// <summary>The tensors as the files have them, by their own names.</summary>
    internal IReadOnlyDictionary<string, TensorInfo> StoredTensors { get; }

    /// <summary>Opens a file, and those that belong to it.</summary>
    internal static GgufCheckpoint OpenFile(string path)
    {
        var files = new List<MappedFile>();
        try
        {
            var stored = new Dictionary<string, TensorInfo>(StringComparer.Ordinal);
            GgufMetadata metadata = ReadFile(path, files, stored);
            IReadOnlyList<string> others = GgufFiles.Others(path, metadata);
            for (int i = 0; i < others.Count; i++)
                GgufFiles.CheckOther(others[i], i + 1, others.Count + 1, ReadFile(others[i], files, stored));
            if (others.Count > 0 && metadata.Integer("split.tensors.count", 0, int.MaxValue) is { } count && count != stored.Count)
                throw metadata.Error("split.tensors.count", $"expected {count} tensors in {files.Count} files, found {stored.Count}");
            return new GgufCheckpoint(path, metadata, GgufConfigReader.Read(metadata, stored), [.. files], stored);
        }
        catch
        {
            foreach (MappedFile file in files)
                file.Dispose();
            throw;
        }
    }

    /// <summary>Reads the metadata of a file without its tensors: for its tokenizer and chat template.</summary>
    internal static T WithMetadata<T>(string path, Func<GgufMetadata, T> read)
    {
        var files = new List<MappedFile>();
        try
        {
            return read(ReadFile(path, files, new Dictionary<string, TensorInfo>(StringComparer.Ordinal)));
        }
        finally
        {
            foreach (MappedFile file in files)
                file.Dispose();
        }
    }

    /// <inheritdoc/>
    public override TensorInfo? Find(string name) => _tensors.TryGetValue(name, out GgufTensor tensor) ? tensor.Info : null;

    /// <inheritdoc/>
    public override bool Has(string name) => _tensors.ContainsKey(name);

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Bytes(TensorInfo tensor, long offset, int count, Span<byte> scratch)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return Bytes(_tensors[tensor.Name], offset, count, scratch);
    }

    private ReadOnlySpan<byte> Bytes(GgufTensor tensor, long offset, int count, Span<byte> scratch)
    {
        CheckRange(tensor.Info, offset, count);
        return tensor.View is { } view ? view.Bytes(offset, count, scratch) : Stored(tensor.Info.Shard, tensor.Info.Offset + offset, count);
    }

    /// <inheritdoc/>
    public override TensorStore WithStoredHeads() => Config is { Architecture: Architecture.Qwen35 or Architecture.Qwen35Moe, LinearAttention: { } linear }
        ? new StoredHeads(this, Config with { LinearAttention = linear with { TiledValueHeads = true } })
        : this;

    private static GgufMetadata ReadFile(string path, List<MappedFile> files, Dictionary<string, TensorInfo> stored)
    {
        MappedFile file = Map(path);
        files.Add(file);
        string name = Path.GetFileName(path);
        ReadOnlySpan<byte> front = file.Span(0, (int)Math.Min(file.Length, GgufHeader.MaxHeaderBytes));
        (Dictionary<string, GgufValue> values, List<TensorInfo> tensors) = GgufHeader.Parse(front, file.Length, name, files.Count - 1);
        foreach (TensorInfo tensor in tensors)
        {
            if (!stored.TryAdd(tensor.Name, tensor))
                throw new CheckpointException($"{name}: tensor {Printable.Quote(tensor.Name)} is in another file as well");
        }

        return new GgufMetadata(name, values, (offset, count) => file.Span(offset, count));
    }

    /// <summary>What the makers suggest, under keys that llama.cpp reads too.</summary>
    private static GenerationDefaults ReadGeneration(GgufMetadata metadata)
    {
        float? Number(string key, double minimum, double maximum) => metadata.Number(key) is not { } value ? null
            : value >= minimum && value <= maximum ? (float)value
            : throw metadata.Error(key, FormattableString.Invariant($"expected a number from {minimum} to {maximum}, found {value}"));

        float? temperature = Number(GgufKeys.Temperature, 0, 1e6);
        return new GenerationDefaults
        {
            Temperature = temperature,
            DoSample = temperature is null ? null : temperature > 0,
            TopK = metadata.Integer(GgufKeys.TopK, 0, int.MaxValue),
            TopP = Number(GgufKeys.TopP, 0, 1),
            MinP = Number(GgufKeys.MinP, 0, 1),
            RepetitionPenalty = Number(GgufKeys.RepetitionPenalty, 1e-6, 1e6),
        };
    }

    /// <summary>The same files, heads as they lie.</summary>
    private sealed class StoredHeads(GgufCheckpoint checkpoint, ModelConfig config) : TensorStore
    {
        private readonly Dictionary<string, GgufTensor> _tensors = new GgufTensors(config, checkpoint.Stored).Translate(checkpoint.StoredTensors.Values);

        public override ModelConfig Config => config;

        public override IReadOnlyCollection<string> Names => _tensors.Keys;

        public override bool Has(string name) => _tensors.ContainsKey(name);

        public override TensorInfo? Find(string name, ReadOnlySpan<int> expectedShape, DType expectedType) =>
            _tensors.TryGetValue(name, out GgufTensor tensor) ? tensor.Info : null;

        public override ReadOnlySpan<byte> Bytes(TensorInfo tensor, long offset, int count, Span<byte> scratch) =>
            checkpoint.Bytes(_tensors[tensor.Name], offset, count, scratch);

        public override void CheckUnchanged() => checkpoint.CheckUnchanged();
    }
}
