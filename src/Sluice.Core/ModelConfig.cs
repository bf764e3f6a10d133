namespace Sluice.Core;

/// <summary>Which of the model family's architectures a checkpoint holds (<c>model_type</c> in config.json).</summary>
public enum Architecture
{
    /// <summary><c>qwen3_next</c>: gated DeltaNet + gated attention, mixture of experts, projections packed by key head.</summary>
    Qwen3Next,

    /// <summary><c>qwen3_5</c>, <c>qwen3_5_text</c>: the same mixers, projections stored apart, dense.</summary>
    Qwen35,

    /// <summary><c>qwen3_5_moe</c>, <c>qwen3_5_moe_text</c>: as <see cref="Qwen35"/> with a mixture of experts.</summary>
    Qwen35Moe,

    /// <summary><c>qwen3</c>: full attention, dense.</summary>
    Qwen3,

    /// <summary><c>qwen3_moe</c>: full attention, mixture of experts without a shared expert.</summary>
    Qwen3Moe,
}

/// <summary>The token mixer of a layer.</summary>
public enum LayerKind
{
    /// <summary>Gated DeltaNet, with a recurrent state.</summary>
    LinearAttention,

    /// <summary>Softmax attention over a KV cache.</summary>
    FullAttention,
}

/// <summary>
/// Everything a forward pass must know about a model, read from either generation of config.json and validated: a field that
/// would change the arithmetic and is not implemented has been refused before this exists.
/// </summary>
public sealed record ModelConfig
{
    /// <summary>Architecture.</summary>
    public required Architecture Architecture { get; init; }

    /// <summary><c>model_type</c> as written.</summary>
    public required string ModelType { get; init; }

    /// <summary>What weight names begin with: <c>model.</c>, or <c>model.language_model.</c> in multi-modal checkpoints.</summary>
    public required string WeightPrefix { get; init; }

    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Rows of the embedding and of the output head.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Longest sequence the model was made for, in tokens.</summary>
    public required int MaxPositions { get; init; }

    /// <summary>The mixer of each layer; its length is the number of layers.</summary>
    public required IReadOnlyList<LayerKind> Layers { get; init; }

    /// <summary>Epsilon of every RMS norm.</summary>
    public required float NormEpsilon { get; init; }

    /// <summary>Whether norm weights are stored around zero and applied as <c>1 + w</c> (all but the DeltaNet's own norm).</summary>
    public required bool ZeroCentredNorm { get; init; }

    /// <summary>Whether the output head is the embedding.</summary>
    public required bool TiedEmbeddings { get; init; }

    /// <summary>Full attention.</summary>
    public required AttentionConfig Attention { get; init; }

    /// <summary>Gated DeltaNet; null when no layer uses it.</summary>
    public LinearAttentionConfig? LinearAttention { get; init; }

    /// <summary>Mixture of experts; null when every layer is dense.</summary>
    public MoeConfig? Moe { get; init; }

    /// <summary>Width of the dense feed-forward layers; 0 when there are none.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Per layer: whether its channel mixer is the mixture of experts.</summary>
    public required IReadOnlyList<bool> SparseLayers { get; init; }

    /// <summary>Layers of the multi-token prediction head, from the configuration; 0 when unknown or none.</summary>
    public int MtpLayers { get; init; }

    /// <summary>Rows and columns that share an FP8 scale; null when weights are not FP8.</summary>
    public (int Rows, int Columns)? Fp8Block { get; init; }

    /// <summary>The type weights are declared in (<c>dtype</c> / <c>torch_dtype</c>), which dummy weights take.</summary>
    public DType WeightType { get; init; } = DType.BF16;

    /// <summary>Token ids that end a generation by config.json; generation_config.json overrides them.</summary>
    public IReadOnlyList<int> EndOfText { get; init; } = [];

    /// <summary>Number of layers.</summary>
    public int LayerCount => Layers.Count;
}

/// <summary>Full attention: grouped queries, per-head norms, rotary on the first <paramref name="RotaryDim"/> elements.</summary>
/// <param name="QueryHeads">Query heads.</param>
/// <param name="KvHeads">Key and value heads; divides <paramref name="QueryHeads"/>.</param>
/// <param name="HeadDim">Elements of a head.</param>
/// <param name="RotaryDim">Elements of a head that rotate; even.</param>
/// <param name="RopeTheta">Base of the rotary frequencies.</param>
/// <param name="OutputGate">Whether q_proj also gives a gate per head (Qwen3-Next, Qwen3.5).</param>
/// <param name="Bias">Whether q, k, v and o have a bias.</param>
public sealed record AttentionConfig(
    int QueryHeads, int KvHeads, int HeadDim, int RotaryDim, double RopeTheta, bool OutputGate, bool Bias);

/// <summary>Gated DeltaNet.</summary>
/// <param name="KeyHeads">Heads of q and k.</param>
/// <param name="ValueHeads">Heads of v, z, b and a; a multiple of <paramref name="KeyHeads"/>.</param>
/// <param name="KeyDim">Elements of a q or k head.</param>
/// <param name="ValueDim">Elements of a v head.</param>
/// <param name="ConvKernel">Taps of the causal convolution.</param>
public sealed record LinearAttentionConfig(int KeyHeads, int ValueHeads, int KeyDim, int ValueDim, int ConvKernel)
{
    /// <summary>
    /// Whether value head h goes with key head h mod K, as GGUF files of Qwen3.5 have them, instead of h / (V / K): V value heads, K key heads.
    /// </summary>
    public bool TiledValueHeads { get; init; }

    /// <summary>Channels of the convolution: all q, all k, all v.</summary>
    public int ConvChannels => (2 * KeyHeads * KeyDim) + (ValueHeads * ValueDim);

    /// <summary>Elements of one layer's recurrent state, [valueHeads, keyDim, valueDim].</summary>
    public int StateElements => ValueHeads * KeyDim * ValueDim;

    /// <summary>Elements of one layer's convolution state, [convKernel - 1, convChannels].</summary>
    public int ConvStateElements => (ConvKernel - 1) * ConvChannels;

    /// <summary>The key head that a value head goes with.</summary>
    public int KeyHeadOf(int valueHead) => TiledValueHeads ? valueHead % KeyHeads : valueHead / (ValueHeads / KeyHeads);
}

/// <summary>Mixture of experts.</summary>
/// <param name="Experts">Experts in a layer.</param>
/// <param name="TopK">Experts each token uses.</param>
/// <param name="IntermediateSize">Width of an expert.</param>
/// <param name="SharedIntermediateSize">Width of the shared expert; 0 when there is none.</param>
/// <param name="NormaliseTopK">Whether the chosen experts' weights are scaled to sum to one.</param>
public sealed record MoeConfig(int Experts, int TopK, int IntermediateSize, int SharedIntermediateSize, bool NormaliseTopK);
