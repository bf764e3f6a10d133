using System.Globalization;
using System.Text.Json;
using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>Writes whole checkpoints of random weights: something to measure loading with, and to test what reads checkpoints.</summary>
public static class SyntheticCheckpoint
{
    private const long DefaultShardBytes = 4L << 30;
    private const int ChunkBytes = 4 << 20;

    /// <summary>
    /// A configuration with the proportions of Qwen3-Next-80B-A3B (hidden 2048, experts of 512) and as many layers of 64 experts as
    /// come nearest to <paramref name="bytes"/>; at least one layer.
    /// </summary>
    public static ModelConfig ConfigOfSize(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        long one = Size(ConfigOfLayers(1));
        long layer = Size(ConfigOfLayers(2)) - one;
        return ConfigOfLayers((int)Math.Clamp(1 + ((bytes - one + (layer / 2)) / layer), 1, 1024));
    }

    /// <summary>Writes config.json, safetensors and, when there are several, their index.</summary>
    /// <param name="folder">Created if need be; files of the same names are replaced.</param>
    /// <param name="config">What to make; its weights are those of <see cref="DummyCheckpoint"/>.</param>
    /// <param name="seed">Another seed, other weights.</param>
    /// <param name="shardBytes">A shard is closed before it would exceed this.</param>
    /// <returns>Bytes of all tensors.</returns>
    public static long Write(string folder, ModelConfig config, ulong seed = 0, long shardBytes = DefaultShardBytes)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(config);
        Directory.CreateDirectory(folder);
        List<List<TensorDeclaration>> shards = Split(ModelTensors.Of(config), shardBytes);
        using var dummy = new DummyCheckpoint(config, seed);
        var map = new List<(string Tensor, string File)>();
        for (int i = 0; i < shards.Count; i++)
        {
            string name = shards.Count == 1
                ? "model.safetensors"
                : string.Create(CultureInfo.InvariantCulture, $"model-{i + 1:D5}-of-{shards.Count:D5}.safetensors");
            WriteShard(Path.Combine(folder, name), shards[i], dummy);
            map.AddRange(shards[i].Select(tensor => (tensor.Name, name)));
        }

        long total = shards.Sum(shard => shard.Sum(tensor => tensor.ByteLength));
        if (shards.Count > 1)
            WriteIndex(Path.Combine(folder, "model.safetensors.index.json"), map, total);
        File.WriteAllBytes(Path.Combine(folder, "config.json"), ModelConfigWriter.Write(config));
        return total;
    }

    private static List<List<TensorDeclaration>> Split(IEnumerable<TensorDeclaration> tensors, long shardBytes)
    {
        var shards = new List<List<TensorDeclaration>>();
        long bytes = long.MaxValue;
        foreach (TensorDeclaration tensor in tensors)
        {
            if (bytes > shardBytes - tensor.ByteLength)
            {
                shards.Add([]);
                bytes = 0;
            }

            shards[^1].Add(tensor);
            bytes += tensor.ByteLength;
        }

        return shards;
    }

    private static void WriteShard(string path, IReadOnlyList<TensorDeclaration> tensors, DummyCheckpoint dummy)
    {
        using SafetensorsWriter writer = SafetensorsWriter.Create(path, tensors);
        byte[] chunk = new byte[ChunkBytes];
        foreach (TensorInfo tensor in writer.Tensors)
        {
            for (long at = 0; at < tensor.ByteLength; at += ChunkBytes)
                writer.Write(dummy.Bytes(tensor, at, (int)Math.Min(ChunkBytes, tensor.ByteLength - at), chunk));
        }

        writer.Complete();
    }

    private static void WriteIndex(string path, IReadOnlyList<(string Tensor, string File)> map, long total)
    {
        using FileStream stream = File.Create(path);
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteStartObject("metadata");
        json.WriteNumber("total_size", total);
        json.WriteEndObject();
        json.WriteStartObject("weight_map");
        foreach ((string tensor, string file) in map)
            json.WriteString(tensor, file);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static long Size(ModelConfig config) => ModelTensors.Of(config).Sum(tensor => tensor.ByteLength);

    private static ModelConfig ConfigOfLayers(int layers) => new()
    {
        Architecture = Architecture.Qwen3Next,
        ModelType = "qwen3_next",
        WeightPrefix = "model.",
        HiddenSize = 2048,
        VocabularySize = 32_000,
        MaxPositions = 32_768,
        Layers = [.. Enumerable.Range(0, layers).Select(i => i % 4 == 3 ? LayerKind.FullAttention : LayerKind.LinearAttention)],
        NormEpsilon = 1e-6f,
        ZeroCentredNorm = true,
        TiedEmbeddings = false,
        Attention = new AttentionConfig(16, 2, 256, 64, 1e7, OutputGate: true, Bias: false),
        LinearAttention = new LinearAttentionConfig(16, 32, 128, 128, 4),
        Moe = new MoeConfig(64, 10, 512, 512, NormaliseTopK: true),
        IntermediateSize = 0,
        SparseLayers = [.. Enumerable.Repeat(true, layers)],
    };
}
