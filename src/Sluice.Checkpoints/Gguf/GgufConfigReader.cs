using System.Globalization;
using Sluice.Core;

namespace Sluice.Checkpoints.Gguf;

/// <summary>
/// Makes a configuration of a GGUF file's metadata, as <see cref="ModelConfigReader"/> makes one of config.json. Keys begin with the
/// architecture's name: <c>qwen3next.block_count</c>. What changes the arithmetic and is not implemented is refused.
/// </summary>
internal sealed class GgufConfigReader
{
    private readonly GgufMetadata _metadata;
    private readonly string _name;
    private readonly Architecture _architecture;

    private GgufConfigReader(GgufMetadata metadata)
    {
        _metadata = metadata;
        _name = metadata.Text("general.architecture") ?? throw metadata.Missing("general.architecture");
        _architecture = _name switch
        {
            "qwen3next" => Architecture.Qwen3Next,
            "qwen35" => Architecture.Qwen35,
            "qwen35moe" => Architecture.Qwen35Moe,
            "qwen3" => Architecture.Qwen3,
            "qwen3moe" => Architecture.Qwen3Moe,
            _ => throw metadata.Error(
                "general.architecture", $"{Printable.Quote(_name)} is not implemented; supported are qwen3next, qwen35, qwen35moe, qwen3moe, qwen3"),
        };
    }

    private bool Hybrid => _architecture is Architecture.Qwen3Next or Architecture.Qwen35 or Architecture.Qwen35Moe;

    /// <summary>Reads the configuration; <paramref name="tensors"/> are the file's, by its own names.</summary>
    /// <exception cref="CheckpointException">A value is missing, impossible, or asks for what is not implemented.</exception>
    internal static ModelConfig Read(GgufMetadata metadata, IReadOnlyDictionary<string, TensorInfo> tensors) => new GgufConfigReader(metadata).Read(tensors);

    private ModelConfig Read(IReadOnlyDictionary<string, TensorInfo> tensors)
    {
        RefuseUnimplemented();
        int predicted = _metadata.Integer(Key("nextn_predict_layers"), 0, ModelConfigReader.MaxLayers) ?? 0;
        int blocks = _metadata.RequiredInteger(Key("block_count"), 1, ModelConfigReader.MaxLayers);
        if (predicted >= blocks)
            throw _metadata.Error(Key("nextn_predict_layers"), $"{predicted} of {blocks} blocks leave no layer");
        if (tensors.GetValueOrDefault(GgufNames.Embedding) is not { Shape.Count: 2 } embedding)
            throw _metadata.Error("general.architecture", $"there is no matrix {GgufNames.Embedding}");
        LayerKind[] layers = ReadLayers(blocks - predicted);
        bool[] sparse = new bool[layers.Length];
        foreach (string name in tensors.Keys)
        {
            if (GgufNames.TrySplit(name, out int block, out string rest) && block < sparse.Length && rest is "ffn_gate_exps.weight" or "ffn_gate_up_exps.weight")
                sparse[block] = true;
        }

        return new ModelConfig
        {
            Architecture = _architecture,
            ModelType = _architecture switch
            {
                Architecture.Qwen3Next => "qwen3_next",
                Architecture.Qwen35 => "qwen3_5_text",
                Architecture.Qwen35Moe => "qwen3_5_moe_text",
                Architecture.Qwen3 => "qwen3",
                _ => "qwen3_moe",
            },
            WeightPrefix = "model.",
            HiddenSize = _metadata.RequiredInteger(Key("embedding_length"), 1, ModelConfigReader.MaxWidth),
            VocabularySize = embedding.Shape[0] <= ModelConfigReader.MaxVocabulary
                ? embedding.Shape[0]
                : throw _metadata.Error(Key("vocab_size"), $"{GgufNames.Embedding} has {embedding.Shape[0]} rows; expected at most {ModelConfigReader.MaxVocabulary}"),
            MaxPositions = _metadata.RequiredInteger(Key("context_length"), 1, int.MaxValue),
            Layers = layers,
            NormEpsilon = ReadEpsilon(),
            ZeroCentredNorm = Hybrid,
            TiedEmbeddings = !tensors.ContainsKey(GgufNames.Head),
            Attention = ReadAttention(tensors, layers),
            LinearAttention = layers.Contains(LayerKind.LinearAttention) ? ReadLinearAttention() : null,
            Moe = sparse.Contains(true) ? ReadMoe() : null,
            IntermediateSize = sparse.Contains(false) ? _metadata.RequiredUniformInteger(Key("feed_forward_length"), 1, ModelConfigReader.MaxWidth) : 0,
            SparseLayers = sparse,
            MtpLayers = predicted,
            WeightType = embedding.Type is DType.F32 or DType.F16 ? embedding.Type : DType.BF16,
            EndOfText = ReadEndOfText(),
        };
    }

    private void RefuseUnimplemented()
    {
        if (_metadata.Text(Key("rope.scaling.type")) is { } scaling && scaling != "none" && (_metadata.Number(Key("rope.scaling.factor")) ?? 1) is not (0 or 1))
            throw _metadata.Error(Key("rope.scaling.type"), $"rope scaling {Printable.Quote(scaling)} is not implemented; supported is none");
        if (_metadata.Integer(Key("expert_gating_func"), 0, int.MaxValue) is { } gating and not (0 or 1))
            throw _metadata.Error(Key("expert_gating_func"), $"{gating} is not implemented; supported is 1, softmax");
        if (_metadata.Number(Key("expert_weights_scale")) is { } scale and not (0 or 1))
            throw _metadata.Error(Key("expert_weights_scale"), FormattableString.Invariant($"{scale} is not implemented; supported is 1"));
        if (_metadata.Has(Key("attention.sliding_window")) && _metadata.Integer(Key("attention.sliding_window"), 0, int.MaxValue) is not 0)
            throw _metadata.Error(Key("attention.sliding_window"), "sliding-window attention is not implemented; supported is 0");
    }

    private LayerKind[] ReadLayers(int count)
    {
        var layers = new LayerKind[count];
        int interval = Hybrid ? _metadata.Integer(Key("full_attention_interval"), 1, ModelConfigReader.MaxLayers) ?? 4 : 1;
        int[]? recurrent = Hybrid ? _metadata.Integers(Key("attention.recurrent_layers"), 0, 1, ModelConfigReader.MaxLayers) : null;
        if (recurrent is not null && recurrent.Length < count)
            throw _metadata.Error(Key("attention.recurrent_layers"), $"expected {count} elements, found {recurrent.Length}");
        for (int i = 0; i < count; i++)
        {
            bool linear = recurrent is null ? (i + 1) % interval != 0 : recurrent[i] == 1;
            layers[i] = linear ? LayerKind.LinearAttention : LayerKind.FullAttention;
        }

        return layers;
    }

    private AttentionConfig ReadAttention(IReadOnlyDictionary<string, TensorInfo> tensors, LayerKind[] layers)
    {
        int queryHeads = _metadata.RequiredUniformInteger(Key("attention.head_count"), 1, ModelConfigReader.MaxHeads);
        int kvHeads = _metadata.RequiredUniformInteger(Key("attention.head_count_kv"), 1, ModelConfigReader.MaxHeads);
        int headDim = _metadata.RequiredInteger(Key("attention.key_length"), 1, ModelConfigReader.MaxHeadDim);
        if (queryHeads % kvHeads != 0)
            throw _metadata.Error(Key("attention.head_count_kv"), $"{kvHeads} does not divide {Key("attention.head_count")}, {queryHeads}");
        if (_metadata.Integer(Key("attention.value_length"), 1, ModelConfigReader.MaxHeadDim) is { } valueDim && valueDim != headDim)
            throw _metadata.Error(Key("attention.value_length"), $"{valueDim} is not implemented; supported is {Key("attention.key_length")}, {headDim}");
        int rotary = _metadata.Integer(Key("rope.dimension_count"), 2, headDim) ?? headDim;
        if (rotary % 2 != 0)
            throw _metadata.Error(Key("rope.dimension_count"), $"expected an even number, found {rotary}");
        double theta = _metadata.Number(Key("rope.freq_base")) ?? throw _metadata.Missing(Key("rope.freq_base"));
        if (theta is not (> 0 and < 1e30))
            throw _metadata.Error(Key("rope.freq_base"), string.Create(CultureInfo.InvariantCulture, $"expected a positive number, found {theta}"));

        // No key says whether there are biases; the first layer that could have them does.
        int full = Array.IndexOf(layers, LayerKind.FullAttention);
        bool bias = full >= 0 && tensors.ContainsKey($"blk.{full}.attn_q.bias");
        return new AttentionConfig(queryHeads, kvHeads, headDim, rotary, theta, OutputGate: Hybrid, bias);
    }

    private LinearAttentionConfig ReadLinearAttention()
    {
        int valueHeads = _metadata.RequiredInteger(Key("ssm.time_step_rank"), 1, ModelConfigReader.MaxHeads);
        int inner = _metadata.RequiredInteger(Key("ssm.inner_size"), 1, int.MaxValue);
        if (inner % valueHeads != 0 || inner / valueHeads > ModelConfigReader.MaxHeadDim)
            throw _metadata.Error(Key("ssm.inner_size"), $"{inner} is not {valueHeads} heads ({Key("ssm.time_step_rank")}) of at most {ModelConfigReader.MaxHeadDim}");
        var linear = new LinearAttentionConfig(
            KeyHeads: _metadata.RequiredInteger(Key("ssm.group_count"), 1, ModelConfigReader.MaxHeads),
            ValueHeads: valueHeads,
            KeyDim: _metadata.RequiredInteger(Key("ssm.state_size"), 1, ModelConfigReader.MaxHeadDim),
            ValueDim: inner / valueHeads,
            ConvKernel: _metadata.RequiredInteger(Key("ssm.conv_kernel"), 2, ModelConfigReader.MaxConvKernel));
        if (linear.ValueHeads % linear.KeyHeads != 0)
            throw _metadata.Error(Key("ssm.time_step_rank"), $"{linear.ValueHeads} is not a multiple of {Key("ssm.group_count")}, {linear.KeyHeads}");
        if ((long)linear.ValueHeads * linear.KeyDim * linear.ValueDim > int.MaxValue)
            throw _metadata.Error(Key("ssm.inner_size"), "the recurrent state of a layer has over 2^31 - 1 elements");
        return linear;
    }

    private MoeConfig ReadMoe()
    {
        int experts = _metadata.RequiredInteger(Key("expert_count"), 1, ModelConfigReader.MaxExperts);
        int topK = _metadata.RequiredInteger(Key("expert_used_count"), 1, ModelConfigReader.MaxExperts);
        if (topK > experts)
            throw _metadata.Error(Key("expert_used_count"), $"{topK} is more than {Key("expert_count")}, {experts}");
        bool shared = _architecture != Architecture.Qwen3Moe;
        return new MoeConfig(
            experts,
            topK,
            _metadata.RequiredInteger(Key("expert_feed_forward_length"), 1, ModelConfigReader.MaxWidth),
            shared ? _metadata.Integer(Key("expert_shared_feed_forward_length"), 0, ModelConfigReader.MaxWidth) ?? 0 : 0,
            NormaliseTopK: _metadata.Boolean(Key("expert_weights_norm")) ?? true);
    }

    private float ReadEpsilon()
    {
        string key = Key("attention.layer_norm_rms_epsilon");
        double epsilon = _metadata.Number(key) ?? throw _metadata.Missing(key);
        return epsilon is > 0 and < 1
            ? (float)epsilon
            : throw _metadata.Error(key, FormattableString.Invariant($"expected a number between 0 and 1, found {epsilon}"));
    }

    /// <summary>The declared ends, and the tokens that end a text or a turn in all models of the family whatever was declared.</summary>
    private int[] ReadEndOfText()
    {
        List<int> ends = [];
        foreach (string key in (ReadOnlySpan<string>)["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"])
        {
            if (_metadata.Integer(key, 0, int.MaxValue) is { } id)
                ends.Add(id);
        }

        ends.AddRange(_metadata.PlacesOf(GgufKeys.Tokens, ["<|im_end|>", "<|endoftext|>"]));
        return [.. ends.Distinct()];
    }

    private string Key(string name) => $"{_name}.{name}";
}
