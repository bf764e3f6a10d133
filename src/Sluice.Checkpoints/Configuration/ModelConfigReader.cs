using System.Text.Json;
using Sluice.Checkpoints.Configuration;
using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>
/// Reads config.json. Two generations are in the wild: the older has <c>rope_theta</c>, <c>partial_rotary_factor</c>,
/// <c>full_attention_interval</c> and <c>torch_dtype</c> at the top; the newer has <c>rope_parameters</c>, <c>layer_types</c> and
/// <c>dtype</c>. Multi-modal Qwen3.5 nests the text model under <c>text_config</c>. Sizes that decide shapes must be there;
/// the rest defaults as it does in transformers.
/// </summary>
/// <remarks>
/// A field that changes the arithmetic in a way that is not implemented is an error. <c>auto_map</c> and the like, which name code to run,
/// are never read. Limits on sizes are far above every real model and keep all products of theirs within an int or a long.
/// </remarks>
public static class ModelConfigReader
{
    internal const int MaxLayers = 1024;
    internal const int MaxWidth = 1 << 18;
    internal const int MaxHeads = 4096;
    internal const int MaxHeadDim = 4096;
    internal const int MaxVocabulary = 1 << 24;
    internal const int MaxExperts = 1 << 15;
    internal const int MaxConvKernel = 16;
    internal const int MaxEndIds = 1024;

    /// <summary>Reads a configuration.</summary>
    /// <param name="configJson">The bytes of config.json.</param>
    /// <exception cref="ConfigurationException">It is malformed, impossible, or asks for what is not implemented.</exception>
    public static ModelConfig Read(ReadOnlySpan<byte> configJson)
    {
        JsonFields top = JsonFields.Parse(configJson.ToArray(), "config.json", out JsonDocument document);
        using (document)
        {
            return Read(top);
        }
    }

    private static ModelConfig Read(JsonFields top)
    {
        string topType = top.String("model_type") ?? throw top.Missing("model_type");
        Architecture architecture = ParseArchitecture(top, topType);
        bool nested = false;
        JsonFields text = top;
        string modelType = topType;
        if (topType is "qwen3_5" or "qwen3_5_moe" && top.Object("text_config") is { } inner)
        {
            nested = true;
            text = inner;
            modelType = inner.String("model_type") ?? topType + "_text";
            if (ParseArchitecture(inner, modelType) != architecture)
                throw inner.Error("model_type", $"{Printable.Quote(modelType)} does not go with the outer {Printable.Quote(topType)}");
        }

        RefuseUnimplemented(text);
        bool hybrid = architecture is Architecture.Qwen3Next or Architecture.Qwen35 or Architecture.Qwen35Moe;
        IReadOnlyList<LayerKind> layers = ReadLayers(text, hybrid);
        MoeConfig? moe = ReadMoe(text, architecture);
        bool[] sparse = ReadSparseLayers(text, architecture, layers.Count, moe);
        if (!sparse.Contains(true))
            moe = null;

        int hidden = text.RequiredInteger("hidden_size", 1, MaxWidth);
        return new ModelConfig
        {
            Architecture = architecture,
            ModelType = modelType,
            WeightPrefix = nested ? "model.language_model." : "model.",
            HiddenSize = hidden,
            VocabularySize = text.RequiredInteger("vocab_size", 1, MaxVocabulary),
            MaxPositions = text.RequiredInteger("max_position_embeddings", 1, int.MaxValue),
            Layers = layers,
            NormEpsilon = ReadEpsilon(text),
            ZeroCentredNorm = hybrid,
            TiedEmbeddings = (nested ? top.Boolean("tie_word_embeddings") : null) ?? text.Boolean("tie_word_embeddings") ?? false,
            Attention = ReadAttention(text, hybrid),
            LinearAttention = layers.Contains(LayerKind.LinearAttention) ? ReadLinearAttention(text) : null,
            Moe = moe,
            IntermediateSize = sparse.Contains(false) ? text.RequiredInteger("intermediate_size", 1, MaxWidth) : 0,
            SparseLayers = sparse,
            MtpLayers = ReadMtpLayers(text),
            Fp8Block = ReadFp8Block(top) ?? (nested ? ReadFp8Block(text) : null),
            WeightType = ReadWeightType(text) ?? (nested ? ReadWeightType(top) : null) ?? DType.BF16,
            EndOfText = EndIds(text) is { Length: > 0 } ids ? ids : EndIds(top),
        };
    }

    private static Architecture ParseArchitecture(JsonFields fields, string modelType) => modelType switch
    {
        "qwen3_next" => Architecture.Qwen3Next,
        "qwen3_5" or "qwen3_5_text" => Architecture.Qwen35,
        "qwen3_5_moe" or "qwen3_5_moe_text" => Architecture.Qwen35Moe,
        "qwen3" => Architecture.Qwen3,
        "qwen3_moe" => Architecture.Qwen3Moe,
        _ => throw fields.Error(
            "model_type",
            $"{Printable.Quote(modelType)} is not implemented; supported are qwen3_next, qwen3_5, qwen3_5_moe, qwen3_moe, qwen3"),
    };

    /// <summary>Fields that would change the arithmetic, at values nothing here computes.</summary>
    private static void RefuseUnimplemented(JsonFields text)
    {
        if (text.String("hidden_act") is { } activation && activation != "silu")
            throw text.Error("hidden_act", $"{Printable.Quote(activation)} is not implemented; supported is silu");
        if (text.Boolean("use_sliding_window") == true)
            throw text.Error("use_sliding_window", "sliding-window attention is not implemented; supported is false");
        if (text.Boolean("mlp_bias") == true)
            throw text.Error("mlp_bias", "biases in feed-forward layers are not implemented; supported is false");
        if (text.Boolean("linear_attn_bias") == true)
            throw text.Error("linear_attn_bias", "biases in linear attention are not implemented; supported is false");
    }

    private static LayerKind[] ReadLayers(JsonFields text, bool hybrid)
    {
        int count = text.RequiredInteger("num_hidden_layers", 1, MaxLayers);
        var layers = new LayerKind[count];
        if (text.Strings("layer_types", MaxLayers) is { } types)
        {
            if (types.Length != count)
                throw text.Error("layer_types", $"expected {count} entries (num_hidden_layers), found {types.Length}");
            for (int i = 0; i < count; i++)
            {
                layers[i] = types[i] switch
                {
                    "full_attention" => LayerKind.FullAttention,
                    "linear_attention" when hybrid => LayerKind.LinearAttention,
                    _ => throw text.Error(
                        "layer_types",
                        $"layer {i}: {Printable.Quote(types[i])} is not implemented; supported is " +
                        (hybrid ? "linear_attention or full_attention" : "full_attention")),
                };
            }

            return layers;
        }

        int interval = hybrid ? text.Integer("full_attention_interval", 1, MaxLayers) ?? 4 : 1;
        for (int i = 0; i < count; i++)
            layers[i] = (i + 1) % interval == 0 ? LayerKind.FullAttention : LayerKind.LinearAttention;
        return layers;
    }

    private static AttentionConfig ReadAttention(JsonFields text, bool hybrid)
    {
        int queryHeads = text.RequiredInteger("num_attention_heads", 1, MaxHeads);
        int kvHeads = text.RequiredInteger("num_key_value_heads", 1, MaxHeads);
        int headDim = text.RequiredInteger("head_dim", 1, MaxHeadDim);
        if (queryHeads % kvHeads != 0)
            throw text.Error("num_key_value_heads", $"{kvHeads} does not divide num_attention_heads, {queryHeads}");

        (double theta, double factor) = RopeReader.Read(text, hybrid ? 0.25 : 1.0);
        int rotary = (int)(headDim * factor);
        if (rotary < 2 || rotary % 2 != 0)
        {
            throw text.Error(
                "partial_rotary_factor",
                FormattableString.Invariant($"{factor} of a head of {headDim} rotates {rotary} elements; expected an even number from 2 to {headDim}"));
        }

        bool gate = hybrid && (text.Boolean("attn_output_gate") ?? true);
        return new AttentionConfig(queryHeads, kvHeads, headDim, rotary, theta, gate, text.Boolean("attention_bias") ?? false);
    }

    private static LinearAttentionConfig ReadLinearAttention(JsonFields text)
    {
        var linear = new LinearAttentionConfig(
            KeyHeads: text.RequiredInteger("linear_num_key_heads", 1, MaxHeads),
            ValueHeads: text.RequiredInteger("linear_num_value_heads", 1, MaxHeads),
            KeyDim: text.RequiredInteger("linear_key_head_dim", 1, MaxHeadDim),
            ValueDim: text.RequiredInteger("linear_value_head_dim", 1, MaxHeadDim),
            ConvKernel: text.RequiredInteger("linear_conv_kernel_dim", 2, MaxConvKernel));
        if (linear.ValueHeads % linear.KeyHeads != 0)
            throw text.Error("linear_num_value_heads", $"{linear.ValueHeads} is not a multiple of linear_num_key_heads, {linear.KeyHeads}");
        if ((long)linear.ValueHeads * linear.KeyDim * linear.ValueDim > int.MaxValue)
            throw text.Error("linear_num_value_heads", "the recurrent state of a layer has over 2^31 - 1 elements");
        return linear;
    }

    private static MoeConfig? ReadMoe(JsonFields text, Architecture architecture)
    {
        if (architecture is Architecture.Qwen35 or Architecture.Qwen3)
            return null;
        int experts = text.RequiredInteger("num_experts", 0, MaxExperts);
        if (experts == 0)
            return null;

        int topK = text.RequiredInteger("num_experts_per_tok", 1, MaxExperts);
        if (topK > experts)
            throw text.Error("num_experts_per_tok", $"{topK} is more than num_experts, {experts}");
        bool shared = architecture != Architecture.Qwen3Moe;
        return new MoeConfig(
            experts,
            topK,
            text.RequiredInteger("moe_intermediate_size", 1, MaxWidth),
            shared ? text.RequiredInteger("shared_expert_intermediate_size", 0, MaxWidth) : 0,
            text.Boolean("norm_topk_prob") ?? shared);
    }

    private static bool[] ReadSparseLayers(JsonFields text, Architecture architecture, int layers, MoeConfig? moe)
    {
        var sparse = new bool[layers];
        if (moe is null)
            return sparse;

        int step = text.Integer("decoder_sparse_step", 1, int.MaxValue) ?? 1;
        int[] dense = text.Integers("mlp_only_layers", 0, layers - 1, layers);
        if (architecture == Architecture.Qwen35Moe && (step != 1 || dense.Length > 0))
            throw text.Error(step != 1 ? "decoder_sparse_step" : "mlp_only_layers", "qwen3_5_moe has no dense layers");
        for (int i = 0; i < layers; i++)
            sparse[i] = (i + 1) % step == 0 && !dense.Contains(i);
        return sparse;
    }

    private static int ReadMtpLayers(JsonFields text)
    {
        int layers = text.Integer("mtp_num_hidden_layers", 0, MaxLayers) ?? text.Integer("num_nextn_predict_layers", 0, MaxLayers) ?? 0;

        // A head with an embedding of its own is not implemented; without the head, the model is what it is.
        return text.Boolean("mtp_use_dedicated_embeddings") == true ? 0 : layers;
    }

    private static (int Rows, int Columns)? ReadFp8Block(JsonFields fields)
    {
        if (fields.Has("compression_config"))
            throw fields.Error("compression_config", "is not implemented; supported is quantization_config with quant_method fp8");
        if (fields.Object("quantization_config") is not { } quantization)
            return null;

        string method = quantization.String("quant_method") ?? throw quantization.Missing("quant_method");
        if (method != "fp8")
            throw quantization.Error("quant_method", $"{Printable.Quote(method)} is not implemented; supported is fp8");
        if (quantization.String("fmt") is { } format && format != "e4m3")
            throw quantization.Error("fmt", $"{Printable.Quote(format)} is not implemented; supported is e4m3");
        if (quantization.String("activation_scheme") is { } scheme && scheme != "dynamic")
            throw quantization.Error("activation_scheme", $"{Printable.Quote(scheme)} is not implemented; supported is dynamic");

        int[] block = quantization.Integers("weight_block_size", 1, MaxWidth, 2);
        if (block.Length != 2)
            throw quantization.Error("weight_block_size", $"expected two numbers, such as [128, 128], found {block.Length}");
        return (block[0], block[1]);
    }

    private static DType? ReadWeightType(JsonFields fields)
    {
        string field = fields.Has("dtype") ? "dtype" : "torch_dtype";
        return fields.String(field) switch
        {
            null or "auto" => null,
            "bfloat16" => DType.BF16,
            "float16" => DType.F16,
            "float32" => DType.F32,
            var other => throw fields.Error(field, $"{Printable.Quote(other)} is not implemented; supported are bfloat16, float16, float32"),
        };
    }

    private static float ReadEpsilon(JsonFields text)
    {
        double epsilon = text.Number("rms_norm_eps") ?? 1e-6;
        return epsilon is > 0 and < 1
            ? (float)epsilon
            : throw text.Error("rms_norm_eps", FormattableString.Invariant($"expected a number between 0 and 1, found {epsilon}"));
    }

    private static int[] EndIds(JsonFields fields) => fields.Integers("eos_token_id", 0, int.MaxValue, MaxEndIds);
}
