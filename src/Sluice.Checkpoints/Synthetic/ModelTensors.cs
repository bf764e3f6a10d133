using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>
/// The tensors a checkpoint of a configuration holds: what a synthetic one must contain, and how large a real one is that is not at hand.
/// </summary>
public static class ModelTensors
{
    /// <summary>Every tensor, scales of FP8 weights included, in the model's order; experts one by one.</summary>
    public static IEnumerable<TensorDeclaration> Of(ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return WithScales(config, Plain(config));
    }

    private static IEnumerable<TensorDeclaration> WithScales(ModelConfig config, IEnumerable<TensorDeclaration> tensors)
    {
        foreach (TensorDeclaration tensor in tensors)
        {
            if (config.Fp8Block is not { } block || tensor.Shape.Count != 2 || !RandomWeights.IsQuantised(tensor.Name))
            {
                yield return tensor;
                continue;
            }

            yield return tensor with { Type = DType.F8E4M3 };
            int rowBlocks = ((tensor.Shape[0] - 1) / block.Rows) + 1;
            int columnBlocks = ((tensor.Shape[1] - 1) / block.Columns) + 1;
            yield return new TensorDeclaration(tensor.Name + "_scale_inv", DType.F32, [rowBlocks, columnBlocks]);
        }
    }

    private static IEnumerable<TensorDeclaration> Plain(ModelConfig config)
    {
        TensorDeclaration Tensor(string name, params int[] shape) => new(name, config.WeightType, shape);

        string prefix = config.WeightPrefix;
        yield return Tensor(prefix + "embed_tokens.weight", config.VocabularySize, config.HiddenSize);
        for (int i = 0; i < config.LayerCount; i++)
        {
            foreach ((string name, int[] shape) in Layer(config, config.Layers[i], config.SparseLayers[i]))
                yield return Tensor($"{prefix}layers.{i}.{name}", shape);
        }

        yield return Tensor(prefix + "norm.weight", config.HiddenSize);
        if (!config.TiedEmbeddings)
            yield return Tensor("lm_head.weight", config.VocabularySize, config.HiddenSize);
        if (config.MtpLayers == 0)
            yield break;

        yield return Tensor("mtp.fc.weight", config.HiddenSize, 2 * config.HiddenSize);
        yield return Tensor("mtp.pre_fc_norm_embedding.weight", config.HiddenSize);
        yield return Tensor("mtp.pre_fc_norm_hidden.weight", config.HiddenSize);
        for (int i = 0; i < config.MtpLayers; i++)
        {
            foreach ((string name, int[] shape) in Layer(config, LayerKind.FullAttention, config.Moe is not null))
                yield return Tensor($"mtp.layers.{i}.{name}", shape);
        }

        yield return Tensor("mtp.norm.weight", config.HiddenSize);
    }

    private static IEnumerable<(string Name, int[] Shape)> Layer(ModelConfig config, LayerKind kind, bool sparse)
    {
        yield return ("input_layernorm.weight", [config.HiddenSize]);
        yield return ("post_attention_layernorm.weight", [config.HiddenSize]);
        foreach ((string, int[]) tensor in kind == LayerKind.LinearAttention ? LinearAttention(config) : Attention(config))
            yield return tensor;
        foreach ((string, int[]) tensor in sparse ? Experts(config) : Mlp("mlp", config.HiddenSize, config.IntermediateSize))
            yield return tensor;
    }

    private static IEnumerable<(string Name, int[] Shape)> Attention(ModelConfig config)
    {
        AttentionConfig shape = config.Attention;
        int queries = shape.QueryHeads * shape.HeadDim;
        int keys = shape.KvHeads * shape.HeadDim;
        (string, int, int)[] projections =
        [
            ("q_proj", shape.OutputGate ? 2 * queries : queries, config.HiddenSize),
            ("k_proj", keys, config.HiddenSize),
            ("v_proj", keys, config.HiddenSize),
            ("o_proj", config.HiddenSize, queries),
        ];
        foreach ((string name, int rows, int columns) in projections)
        {
            yield return ($"self_attn.{name}.weight", [rows, columns]);
            if (shape.Bias)
                yield return ($"self_attn.{name}.bias", [rows]);
        }

        yield return ("self_attn.q_norm.weight", [shape.HeadDim]);
        yield return ("self_attn.k_norm.weight", [shape.HeadDim]);
    }

    private static IEnumerable<(string Name, int[] Shape)> LinearAttention(ModelConfig config)
    {
        LinearAttentionConfig shape = config.LinearAttention!;
        int values = shape.ValueHeads * shape.ValueDim;
        yield return ("linear_attn.A_log", [shape.ValueHeads]);
        yield return ("linear_attn.dt_bias", [shape.ValueHeads]);
        yield return ("linear_attn.conv1d.weight", [shape.ConvChannels, 1, shape.ConvKernel]);
        yield return ("linear_attn.norm.weight", [shape.ValueDim]);
        yield return ("linear_attn.out_proj.weight", [config.HiddenSize, values]);
        if (config.Architecture == Architecture.Qwen3Next)
        {
            yield return ("linear_attn.in_proj_qkvz.weight", [shape.ConvChannels + values, config.HiddenSize]);
            yield return ("linear_attn.in_proj_ba.weight", [2 * shape.ValueHeads, config.HiddenSize]);
            yield break;
        }

        yield return ("linear_attn.in_proj_qkv.weight", [shape.ConvChannels, config.HiddenSize]);
        yield return ("linear_attn.in_proj_z.weight", [values, config.HiddenSize]);
        yield return ("linear_attn.in_proj_b.weight", [shape.ValueHeads, config.HiddenSize]);
        yield return ("linear_attn.in_proj_a.weight", [shape.ValueHeads, config.HiddenSize]);
    }

    private static IEnumerable<(string Name, int[] Shape)> Experts(ModelConfig config)
    {
        MoeConfig moe = config.Moe!;
        yield return ("mlp.gate.weight", [moe.Experts, config.HiddenSize]);
        for (int i = 0; i < moe.Experts; i++)
        {
            foreach ((string, int[]) tensor in Mlp($"mlp.experts.{i}", config.HiddenSize, moe.IntermediateSize))
                yield return tensor;
        }

        if (moe.SharedIntermediateSize == 0)
            yield break;
        yield return ("mlp.shared_expert_gate.weight", [1, config.HiddenSize]);
        foreach ((string, int[]) tensor in Mlp("mlp.shared_expert", config.HiddenSize, moe.SharedIntermediateSize))
            yield return tensor;
    }

    private static IEnumerable<(string Name, int[] Shape)> Mlp(string module, int hidden, int width)
    {
        yield return ($"{module}.gate_proj.weight", [width, hidden]);
        yield return ($"{module}.up_proj.weight", [width, hidden]);
        yield return ($"{module}.down_proj.weight", [hidden, width]);
    }
}
