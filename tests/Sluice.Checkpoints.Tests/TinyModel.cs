using Sluice.Core;

namespace Sluice.Checkpoints.Tests;

/// <summary>The smallest models that have every part.</summary>
internal static class TinyModel
{
    /// <summary>A hybrid with a mixture of experts, a dense layer and a prediction head.</summary>
    public static ModelConfig Config { get; } = new()
    {
        Architecture = Architecture.Qwen3Next,
        ModelType = "qwen3_next",
        WeightPrefix = "model.",
        HiddenSize = 8,
        VocabularySize = 16,
        MaxPositions = 64,
        Layers = [LayerKind.LinearAttention, LayerKind.FullAttention],
        NormEpsilon = 1e-6f,
        ZeroCentredNorm = true,
        TiedEmbeddings = false,
        Attention = new AttentionConfig(2, 1, 4, 2, 10_000, OutputGate: true, Bias: false),
        LinearAttention = new LinearAttentionConfig(1, 2, 4, 4, 4),
        Moe = new MoeConfig(2, 1, 4, 4, NormaliseTopK: true),
        IntermediateSize = 8,
        SparseLayers = [false, true],
        MtpLayers = 1,
        EndOfText = [3],
    };

    /// <summary>Only embeddings and one dense layer of attention: about 2 KiB on disk.</summary>
    public static ModelConfig Smallest { get; } = Config with
    {
        Architecture = Architecture.Qwen3,
        ModelType = "qwen3",
        HiddenSize = 2,
        VocabularySize = 4,
        Layers = [LayerKind.FullAttention],
        ZeroCentredNorm = false,
        TiedEmbeddings = true,
        Attention = new AttentionConfig(1, 1, 2, 2, 10_000, OutputGate: false, Bias: false),
        LinearAttention = null,
        Moe = null,
        IntermediateSize = 2,
        SparseLayers = [false],
        MtpLayers = 0,
    };
}
