using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Core;

namespace Sluice.Models;

/// <summary>What a group of weights is for.</summary>
public enum WeightRole
{
    /// <summary>The table read by token id.</summary>
    Embedding,

    /// <summary>Gated DeltaNet.</summary>
    LinearAttention,

    /// <summary>Full attention.</summary>
    FullAttention,

    /// <summary>Dense feed-forward layers.</summary>
    DenseMlp,

    /// <summary>Routers and the gates of shared experts.</summary>
    Router,

    /// <summary>Experts chosen by the router.</summary>
    Experts,

    /// <summary>Experts every token uses.</summary>
    SharedExperts,

    /// <summary>Norms, biases and constants per head: vectors, not matrices.</summary>
    Vectors,

    /// <summary>The output head, unless it is the embedding.</summary>
    Head,
}

/// <summary>Weights of one role and stored type.</summary>
/// <param name="Role">What they are for.</param>
/// <param name="Type">How they are stored.</param>
/// <param name="Parameters">Numbers, scales not counted.</param>
/// <param name="ActiveParameters">Those that a token meets: of experts the top k, of the embedding a row.</param>
/// <param name="Bytes">Stored bytes, scales included.</param>
/// <param name="ActiveBytes">Stored bytes of the active ones.</param>
public sealed record WeightGroup(WeightRole Role, DType Type, long Parameters, long ActiveParameters, long Bytes, long ActiveBytes);

/// <summary>Multiply-adds that one token costs.</summary>
/// <param name="Dense">Projections, dense and shared feed-forward layers, routers.</param>
/// <param name="Experts">The chosen experts.</param>
/// <param name="Attention">Queries with keys and weights with values, which grow with the context.</param>
/// <param name="Recurrence">Convolution and delta rule, which do not.</param>
/// <param name="Head">The output head, for tokens whose logits are wanted.</param>
public readonly record struct MultiplyAdds(long Dense, long Experts, long Attention, long Recurrence, long Head)
{
    /// <summary>All of a prompt's token, whose logits nobody wants.</summary>
    public long Prompt => Dense + Experts + Attention + Recurrence;

    /// <summary>All of a decoded token.</summary>
    public long Decode => Prompt + Head;
}

/// <summary>
/// Memory and work that a model needs, from its configuration or its tensors' headers: nothing is measured or loaded. The multi-token prediction
/// head and vision towers are not counted. Without tensors, weights count as the configuration declares them, so that a checkpoint that keeps a
/// norm in float32 is a few KiB larger.
/// </summary>
public sealed class ModelFootprint
{
    private const int ScaleBytes = sizeof(float);

    private readonly ModelConfig _config;
    private readonly List<WeightGroup> _groups = [];
    private readonly int _attentionLayers;
    private readonly int _linearLayers;

    /// <summary>Works out the footprint of <paramref name="config"/>.</summary>
    public ModelFootprint(ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        _config = config;
        _attentionLayers = config.Layers.Count(kind => kind == LayerKind.FullAttention);
        _linearLayers = config.LayerCount - _attentionLayers;
        AddEnds();
        for (int i = 0; i < config.LayerCount; i++)
        {
            if (config.Layers[i] == LayerKind.LinearAttention)
                AddLinearAttention(config.LinearAttention!);
            else
                AddFullAttention(config.Attention);
            if (config.SparseLayers[i])
                AddExperts(config.Moe!);
            else
                AddMlp(WeightRole.DenseMlp, config.IntermediateSize);
            Add(WeightRole.Vectors, 2 * config.HiddenSize);
        }
    }

    private ModelFootprint(Checkpoint checkpoint)
    {
        _config = checkpoint.Config;
        _attentionLayers = _config.Layers.Count(kind => kind == LayerKind.FullAttention);
        _linearLayers = _config.LayerCount - _attentionLayers;
        foreach (TensorInfo tensor in checkpoint.Tensors)
            AddStored(tensor);
    }

    /// <summary>The footprint of a store's model: with the types its tensors are stored in, if it has any.</summary>
    public static ModelFootprint Of(TensorStore store)
    {
        ArgumentNullException.ThrowIfNull(store);
        return store is Checkpoint checkpoint ? new ModelFootprint(checkpoint) : new ModelFootprint(store.Config);
    }

    /// <summary>Weights by role and type.</summary>
    public IReadOnlyList<WeightGroup> Weights => _groups;

    /// <summary>Parameters in all.</summary>
    public long Parameters => _groups.Sum(group => group.Parameters);

    /// <summary>Parameters that a token meets.</summary>
    public long ActiveParameters => _groups.Sum(group => group.ActiveParameters) + TiedHead;

    /// <summary>Stored bytes of all weights.</summary>
    public long WeightBytes => _groups.Sum(group => group.Bytes);

    /// <summary>Weight bytes that decoding one token reads.</summary>
    public long DecodeWeightBytes =>
        _groups.Sum(group => group.ActiveBytes) + (_config.TiedEmbeddings ? _groups.Where(group => group.Role == WeightRole.Embedding).Sum(group => group.Bytes) : 0);

    /// <summary>Recurrent state of one sequence, float32, bytes.</summary>
    public long StateBytes => _linearLayers * (_config.LinearAttention?.StateElements ?? 0L) * sizeof(float);

    private long TiedHead => _config.TiedEmbeddings ? (long)_config.VocabularySize * _config.HiddenSize : 0;

    /// <summary>Stored bytes of each type that occurs.</summary>
    public IReadOnlyDictionary<DType, long> WeightBytesByType() =>
        _groups.GroupBy(group => group.Type).ToDictionary(group => group.Key, group => group.Sum(weights => weights.Bytes));

    /// <summary>Keys and values of one token in all layers, bytes, without a device's padding.</summary>
    public long KvBytesPerToken(KvDtype type) =>
        2L * _attentionLayers * _config.Attention.KvHeads * type.BytesOfHead(_config.Attention.HeadDim);

    /// <summary>Convolution state of one sequence, bytes.</summary>
    public long ConvStateBytes(DType type) => _linearLayers * (_config.LinearAttention?.ConvStateElements ?? 0L) * type.Size();

    /// <summary>Activations in float32 of steps of so many tokens, with logits for so many of them, bytes.</summary>
    public long ActivationBytes(int stepTokens, int logitRows)
    {
        AttentionConfig attention = _config.Attention;
        int queries = attention.QueryHeads * attention.HeadDim;
        long row = 3L * _config.HiddenSize;
        if (_attentionLayers > 0)
            row += ((attention.OutputGate ? 3 : 2) * queries) + (2 * attention.KvHeads * attention.HeadDim);
        if (_linearLayers > 0 && _config.LinearAttention is { } linear)
            row += (2 * linear.ConvChannels) + (3 * linear.ValueHeads * linear.ValueDim) + (2 * linear.ValueHeads);
        if (_config.Moe is { } moe && _config.SparseLayers.Contains(true))
            row += (3 * moe.SharedIntermediateSize) + moe.Experts + (moe.SharedIntermediateSize > 0 ? _config.HiddenSize : 0);
        if (_config.SparseLayers.Contains(false))
            row += 3L * _config.IntermediateSize;
        return sizeof(float) * ((stepTokens * row) + (logitRows * ((2L * _config.HiddenSize) + _config.VocabularySize)));
    }

    /// <summary>Multiply-adds for a token that attends to <paramref name="context"/> positions, its own included.</summary>
    public MultiplyAdds MultiplyAdds(long context)
    {
        long experts = ActiveParametersOf(WeightRole.Experts);
        long head = (long)_config.VocabularySize * _config.HiddenSize;

        // Vectors multiply too, but as elements, not as matrices; they and the embedding count for nothing.
        long dense = ActiveParametersOf(WeightRole.FullAttention) + ActiveParametersOf(WeightRole.DenseMlp)
            + ActiveParametersOf(WeightRole.Router) + ActiveParametersOf(WeightRole.SharedExperts) + ActiveParametersOf(WeightRole.LinearAttention);
        long recurrence = 0;
        if (_config.LinearAttention is { } shape)
        {
            // Ask the state for k, write the correction, ask it for q.
            dense -= (long)_linearLayers * shape.ConvChannels * shape.ConvKernel;
            recurrence = _linearLayers * ((3L * shape.StateElements) + ((long)shape.ConvChannels * shape.ConvKernel));
        }

        long attention = 2L * _attentionLayers * _config.Attention.QueryHeads * _config.Attention.HeadDim * context;
        return new MultiplyAdds(dense, experts, attention, recurrence, head);
    }

    private void AddStored(TensorInfo tensor)
    {
        if (RoleOf(tensor) is not { } role)
            return;
        bool scales = tensor.Name.EndsWith("_scale_inv", StringComparison.Ordinal);
        long parameters = scales ? 0 : tensor.Shape.Aggregate(1L, (product, dimension) => product * dimension);

        // A token meets one row of the embedding, and as many experts as the router takes.
        double active = role switch
        {
            WeightRole.Embedding => 1.0 / tensor.Shape[0],
            WeightRole.Experts => (double)_config.Moe!.TopK / _config.Moe.Experts,
            _ => 1,
        };
        Merge(new WeightGroup(
            role, scales ? DType.F8E4M3 : tensor.Type, parameters, (long)Math.Round(parameters * active), tensor.ByteLength, (long)Math.Round(tensor.ByteLength * active)));
    }

    /// <summary>What a tensor is for, by its name; null for what is not counted.</summary>
    private WeightRole? RoleOf(TensorInfo tensor)
    {
        string name = tensor.Name;
        if (!name.StartsWith(_config.WeightPrefix, StringComparison.Ordinal))
            return name == "lm_head.weight" && !_config.TiedEmbeddings ? WeightRole.Head : null;
        return name[_config.WeightPrefix.Length..] switch
        {
            "embed_tokens.weight" => WeightRole.Embedding,
            _ when tensor.Shape.Count == 1 => WeightRole.Vectors,
            var rest when rest.Contains(".linear_attn.", StringComparison.Ordinal) => WeightRole.LinearAttention,
            var rest when rest.Contains(".self_attn.", StringComparison.Ordinal) => WeightRole.FullAttention,
            var rest when rest.Contains(".mlp.experts.", StringComparison.Ordinal) => WeightRole.Experts,
            var rest when rest.Contains(".mlp.shared_expert.", StringComparison.Ordinal) => WeightRole.SharedExperts,
            var rest when rest.EndsWith(".mlp.gate.weight", StringComparison.Ordinal) || rest.Contains(".mlp.shared_expert_gate.", StringComparison.Ordinal) => WeightRole.Router,
            var rest when rest.Contains(".mlp.", StringComparison.Ordinal) => WeightRole.DenseMlp,
            _ => null,
        };
    }

    private long ActiveParametersOf(WeightRole role) => _groups.Where(group => group.Role == role).Sum(group => group.ActiveParameters);

    private void AddEnds()
    {
        long table = (long)_config.VocabularySize * _config.HiddenSize;
        int size = _config.WeightType.Size();
        Merge(new WeightGroup(WeightRole.Embedding, _config.WeightType, table, _config.HiddenSize, table * size, (long)_config.HiddenSize * size));
        if (!_config.TiedEmbeddings)
            Add(WeightRole.Head, table);
        Add(WeightRole.Vectors, _config.HiddenSize);
    }

    private void AddLinearAttention(LinearAttentionConfig shape)
    {
        int values = shape.ValueHeads * shape.ValueDim;
        if (_config.Architecture == Architecture.Qwen3Next)
        {
            AddProjection(WeightRole.LinearAttention, shape.ConvChannels + values, _config.HiddenSize);
        }
        else
        {
            AddProjection(WeightRole.LinearAttention, shape.ConvChannels, _config.HiddenSize);
            AddProjection(WeightRole.LinearAttention, values, _config.HiddenSize);
        }

        AddProjection(WeightRole.LinearAttention, _config.HiddenSize, values);
        Add(WeightRole.LinearAttention, 2L * shape.ValueHeads * _config.HiddenSize); // b and a
        Add(WeightRole.LinearAttention, (long)shape.ConvChannels * shape.ConvKernel);
        Add(WeightRole.Vectors, (2 * shape.ValueHeads) + shape.ValueDim); // A_log, dt_bias and the norm's weight
    }

    private void AddFullAttention(AttentionConfig shape)
    {
        int queries = shape.QueryHeads * shape.HeadDim;
        int keys = shape.KvHeads * shape.HeadDim;
        int queriesAndGates = shape.OutputGate ? 2 * queries : queries;
        AddProjection(WeightRole.FullAttention, queriesAndGates, _config.HiddenSize);
        AddProjection(WeightRole.FullAttention, keys, _config.HiddenSize);
        AddProjection(WeightRole.FullAttention, keys, _config.HiddenSize);
        AddProjection(WeightRole.FullAttention, _config.HiddenSize, queries);
        Add(WeightRole.Vectors, 2 * shape.HeadDim);
        if (shape.Bias)
            Add(WeightRole.Vectors, queriesAndGates + (2 * keys) + _config.HiddenSize);
    }

    private void AddExperts(MoeConfig moe)
    {
        AddMlp(WeightRole.Experts, moe.IntermediateSize, moe.Experts, moe.TopK);
        Add(WeightRole.Router, (long)moe.Experts * _config.HiddenSize);
        if (moe.SharedIntermediateSize == 0)
            return;
        AddMlp(WeightRole.SharedExperts, moe.SharedIntermediateSize);
        Add(WeightRole.Router, _config.HiddenSize);
    }

    private void AddMlp(WeightRole role, int width, int count = 1, int active = 1)
    {
        AddProjection(role, width, _config.HiddenSize, count, active);
        AddProjection(role, width, _config.HiddenSize, count, active);
        AddProjection(role, _config.HiddenSize, width, count, active);
    }

    /// <summary>A matrix that FP8 checkpoints quantise.</summary>
    private void AddProjection(WeightRole role, int rows, int columns, int count = 1, int active = 1)
    {
        long parameters = (long)rows * columns;
        long bytes = parameters * _config.WeightType.Size();
        DType type = _config.WeightType;
        if (_config.Fp8Block is (int blockRows, int blockColumns))
        {
            type = DType.F8E4M3;
            bytes = parameters + ((long)((rows - 1) / blockRows + 1) * ((columns - 1) / blockColumns + 1) * ScaleBytes);
        }

        Merge(new WeightGroup(role, type, count * parameters, active * parameters, count * bytes, active * bytes));
    }

    /// <summary>Weights that stay as they are, all of them met by every token.</summary>
    private void Add(WeightRole role, long parameters)
    {
        long bytes = parameters * _config.WeightType.Size();
        Merge(new WeightGroup(role, _config.WeightType, parameters, parameters, bytes, bytes));
    }

    private void Merge(WeightGroup more)
    {
        int index = _groups.FindIndex(group => group.Role == more.Role && group.Type == more.Type);
        if (index < 0)
        {
            _groups.Add(more);
            return;
        }

        WeightGroup group = _groups[index];
        _groups[index] = group with
        {
            Parameters = group.Parameters + more.Parameters,
            ActiveParameters = group.ActiveParameters + more.ActiveParameters,
            Bytes = group.Bytes + more.Bytes,
            ActiveBytes = group.ActiveBytes + more.ActiveBytes,
        };
    }
}
