using System.Runtime.InteropServices;
using Sluice.Checkpoints;
using Sluice.Core;

namespace Sluice.Cli.Bench;

/// <summary>
/// Random weights in GGUF's blocks for a configuration alone, with the types that files of a common mix have: <c>q8_0</c>, or <c>q4_k_m</c>, which
/// spends more bits on what the result depends on most. Routers, gates and vectors stay as they are.
/// </summary>
internal sealed class QuantisedDummies(ModelConfig config, string mix) : TensorStore
{
    public const string Q8_0 = "q8_0";
    public const string Q4_K_M = "q4_k_m";

    /// <summary>The mixes there are.</summary>
    public static readonly string[] Mixes = [Q8_0, Q4_K_M];

    private readonly DummyCheckpoint _plain = new(config);

    public override ModelConfig Config => config;

    public override IReadOnlyCollection<string> Names => [];

    public override bool Has(string name) => _plain.Has(name);

    public override TensorInfo? Find(string name, ReadOnlySpan<int> expectedShape, DType expectedType)
    {
        if (_plain.Find(name, expectedShape, expectedType) is not { } tensor)
            return null;
        DType type = expectedShape.Length == 2 ? TypeOf(name, expectedShape[^1]) : tensor.Type;
        return type == tensor.Type ? tensor : new TensorInfo(name, type, tensor.Shape, Shard: 0, Offset: 0, (long)expectedShape[0] * type.RowBytes(expectedShape[1]));
    }

    public override ReadOnlySpan<byte> Bytes(TensorInfo tensor, long offset, int count, Span<byte> scratch)
    {
        if (!tensor.Type.IsBlocked())
            return _plain.Bytes(tensor, offset, count, scratch);
        Span<byte> bytes = scratch[..count];
        ulong state = unchecked(((ulong)offset * 0x9E3779B97F4A7C15) + (ulong)tensor.Name.Length);
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        for (int i = 0; i < words.Length; i++)
            words[i] = Next(ref state);
        for (int i = 8 * words.Length; i < bytes.Length; i++)
            bytes[i] = (byte)Next(ref state);
        SetFactors(tensor.Type, 1 / Math.Sqrt(tensor.Shape[^1]), bytes);
        return bytes;
    }

    /// <summary>Bytes of weights that a step of some rows reads: of experts those that at least one of independent rows chooses, on average.</summary>
    public double BytesOfStep(int rows)
    {
        double bytes = 0;
        foreach (TensorDeclaration declared in ModelTensors.Of(config))
        {
            if (declared.Name.StartsWith("mtp.", StringComparison.Ordinal))
                continue;
            long size = Find(declared.Name, [.. declared.Shape], declared.Type)!.ByteLength;
            bytes += declared.Name.Contains(".mlp.experts.", StringComparison.Ordinal)
                ? size * (1 - Math.Pow(1 - ((double)config.Moe!.TopK / config.Moe.Experts), rows))
                : declared.Name.EndsWith("embed_tokens.weight", StringComparison.Ordinal) && !config.TiedEmbeddings
                    ? rows * (double)(size / config.VocabularySize)
                    : size;
        }

        return bytes;
    }

    private DType TypeOf(string name, int columns)
    {
        if (name.EndsWith("mlp.gate.weight", StringComparison.Ordinal) || name.EndsWith("_gate.weight", StringComparison.Ordinal) || columns % 256 != 0)
            return config.WeightType;
        if (mix == Q8_0 || name.EndsWith("in_proj_ba.weight", StringComparison.Ordinal))
            return DType.Q8_0;

        // The first and last eighth of the layers and every third between get more bits, as llama.cpp's mix has it.
        string[] parts = name.Split('.');
        int at = Array.IndexOf(parts, "layers");
        int layer = at < 0 ? 0 : int.Parse(parts[at + 1], System.Globalization.CultureInfo.InvariantCulture);
        int eighth = config.LayerCount / 8;
        bool isSensitive = layer < eighth || layer >= 7 * config.LayerCount / 8 || (layer - eighth) % 3 == 2;
        if (name == "lm_head.weight" || (isSensitive && (name.EndsWith("down_proj.weight", StringComparison.Ordinal) || name.EndsWith("v_proj.weight", StringComparison.Ordinal))))
            return DType.Q6_K;
        return name.Contains("in_proj_qkv", StringComparison.Ordinal) ? DType.Q5_K : DType.Q4_K;
    }

    /// <summary>Gives blocks factors with which their random elements have about a standard deviation.</summary>
    private static void SetFactors(DType type, double deviation, Span<byte> bytes)
    {
        (int at, double factor, double offset) = type switch
        {
            DType.Q8_0 => (0, deviation / 74, 0),
            DType.Q4_K => (0, deviation / 250, 7.5 * deviation / 250),
            DType.Q5_K => (0, deviation / 500, 15.5 * deviation / 500),
            _ => (208, deviation / 1360, 0),
        };
        int blockBytes = type.Block().Bytes;
        for (int block = 0; block + blockBytes <= bytes.Length; block += blockBytes)
        {
            MemoryMarshal.Write(bytes[(block + at)..], (Half)factor);
            if (offset != 0)
                MemoryMarshal.Write(bytes[(block + at + 2)..], (Half)offset);
        }
    }

    /// <summary>SplitMix64.</summary>
    private static ulong Next(ref ulong state)
    {
        unchecked
        {
            ulong z = state += 0x9E3779B97F4A7C15;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return z ^ (z >> 31);
        }
    }
}
