using System.Text.Json;
using Sluice.Checkpoints.Configuration;
using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>
/// Writes config.json so that <see cref="ModelConfigReader"/> gives the same configuration back: in the newer generation's form, with what older readers look for as
/// well, which would take a default where they find nothing.
/// </summary>
public static class ModelConfigWriter
{
    /// <summary>The bytes of config.json.</summary>
    public static byte[] Write(ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return JsonFile.Write(json =>
        {
            WriteModel(json, config);
            WriteAttention(json, config.Attention);
            if (config.LinearAttention is { } linear)
                WriteLinearAttention(json, linear);
            if (config.Moe is { } moe)
                WriteMoe(json, config, moe);
            else if (config.Architecture is not (Architecture.Qwen35 or Architecture.Qwen3))
                json.WriteNumber("num_experts", 0);
            if (config.Fp8Block is { } block)
                WriteQuantisation(json, block);
        });
    }

    private static void WriteModel(Utf8JsonWriter json, ModelConfig config)
    {
        json.WriteStartArray("architectures");
        json.WriteStringValue(config.Architecture switch
        {
            Architecture.Qwen3Next => "Qwen3NextForCausalLM",
            Architecture.Qwen35 => "Qwen3_5ForCausalLM",
            Architecture.Qwen35Moe => "Qwen3_5MoeForCausalLM",
            Architecture.Qwen3 => "Qwen3ForCausalLM",
            _ => "Qwen3MoeForCausalLM",
        });
        json.WriteEndArray();
        json.WriteString("model_type", config.ModelType);
        json.WriteString("dtype", config.WeightType switch
        {
            DType.F32 => "float32",
            DType.F16 => "float16",
            _ => "bfloat16",
        });
        json.WriteString("hidden_act", "silu");
        json.WriteNumber("hidden_size", config.HiddenSize);
        json.WriteNumber("vocab_size", config.VocabularySize);
        json.WriteNumber("max_position_embeddings", config.MaxPositions);
        json.WriteNumber("rms_norm_eps", config.NormEpsilon);
        json.WriteBoolean("tie_word_embeddings", config.TiedEmbeddings);
        json.WriteNumber("num_hidden_layers", config.LayerCount);
        if (config.IntermediateSize > 0)
            json.WriteNumber("intermediate_size", config.IntermediateSize);
        if (config.MtpLayers > 0)
            json.WriteNumber("mtp_num_hidden_layers", config.MtpLayers);

        json.WriteStartArray("layer_types");
        foreach (LayerKind kind in config.Layers)
            json.WriteStringValue(kind == LayerKind.FullAttention ? "full_attention" : "linear_attention");
        json.WriteEndArray();

        json.WriteStartArray("eos_token_id");
        foreach (int id in config.EndOfText)
            json.WriteNumberValue(id);
        json.WriteEndArray();
    }

    private static void WriteAttention(Utf8JsonWriter json, AttentionConfig attention)
    {
        json.WriteNumber("num_attention_heads", attention.QueryHeads);
        json.WriteNumber("num_key_value_heads", attention.KvHeads);
        json.WriteNumber("head_dim", attention.HeadDim);
        json.WriteBoolean("attention_bias", attention.Bias);
        json.WriteBoolean("attn_output_gate", attention.OutputGate);
        double rotary = (double)attention.RotaryDim / attention.HeadDim;
        json.WriteNumber("rope_theta", attention.RopeTheta);
        json.WriteNumber("partial_rotary_factor", rotary);
        json.WriteStartObject("rope_parameters");
        json.WriteString("rope_type", "default");
        json.WriteNumber("rope_theta", attention.RopeTheta);
        json.WriteNumber("partial_rotary_factor", rotary);
        json.WriteEndObject();
    }

    private static void WriteLinearAttention(Utf8JsonWriter json, LinearAttentionConfig linear)
    {
        json.WriteNumber("linear_num_key_heads", linear.KeyHeads);
        json.WriteNumber("linear_num_value_heads", linear.ValueHeads);
        json.WriteNumber("linear_key_head_dim", linear.KeyDim);
        json.WriteNumber("linear_value_head_dim", linear.ValueDim);
        json.WriteNumber("linear_conv_kernel_dim", linear.ConvKernel);
    }

    private static void WriteMoe(Utf8JsonWriter json, ModelConfig config, MoeConfig moe)
    {
        json.WriteNumber("num_experts", moe.Experts);
        json.WriteNumber("num_experts_per_tok", moe.TopK);
        json.WriteNumber("moe_intermediate_size", moe.IntermediateSize);
        json.WriteNumber("shared_expert_intermediate_size", moe.SharedIntermediateSize);
        json.WriteBoolean("norm_topk_prob", moe.NormaliseTopK);
        json.WriteStartArray("mlp_only_layers");
        for (int i = 0; i < config.LayerCount; i++)
        {
            if (!config.SparseLayers[i])
                json.WriteNumberValue(i);
        }

        json.WriteEndArray();
    }

    private static void WriteQuantisation(Utf8JsonWriter json, (int Rows, int Columns) block)
    {
        json.WriteStartObject("quantization_config");
        json.WriteString("quant_method", "fp8");
        json.WriteString("fmt", "e4m3");
        json.WriteString("activation_scheme", "dynamic");
        json.WriteStartArray("weight_block_size");
        json.WriteNumberValue(block.Rows);
        json.WriteNumberValue(block.Columns);
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
