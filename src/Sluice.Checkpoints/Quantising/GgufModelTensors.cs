using Sluice.Checkpoints.Gguf;
using Sluice.Core;

namespace Sluice.Checkpoints.Quantising;

/// <summary>
/// The tensors of a model as a GGUF file has them, taken out of a checkpoint: the reverse of <see cref="GgufTensors"/>, which says what differs.
/// </summary>
internal sealed class GgufModelTensors
{
    private readonly WeightPlan _plan;
    private readonly ModelConfig _config;
    private readonly List<AssembledTensor> _tensors = [];
    private readonly bool _plainNorms;
    private readonly bool _tiled;

    private GgufModelTensors(WeightPlan plan)
    {
        _plan = plan;
        _config = plan.Config;
        _plainNorms = _config.Architecture is Architecture.Qwen3 or Architecture.Qwen3Moe;
        _tiled = _config.Architecture is Architecture.Qwen35 or Architecture.Qwen35Moe && _config.LinearAttention is { } linear && linear.KeyHeads != linear.ValueHeads;
    }

    /// <summary>Names every tensor of a checkpoint that the model has, and says in one error all that is wrong with them.</summary>
    /// <exception cref="CheckpointException">Tensors are missing, misshapen, mistyped, or surplus.</exception>
    internal static (List<AssembledTensor> Tensors, int Blocks) Of(TensorStore store, bool predictionHead)
    {
        var plan = new WeightPlan(store);
        plan.Skip("model.visual.");
        if (store.Config.TiedEmbeddings)
            plan.Skip("lm_head.");
        var model = new GgufModelTensors(plan);
        int blocks = model.AddModel(predictionHead);
        plan.Skip("mtp.");
        plan.Validate();
        return (model._tensors, blocks);
    }

    private int AddModel(bool predictionHead)
    {
        string prefix = _config.WeightPrefix;
        AddMatrix(GgufNames.Embedding, prefix + "embed_tokens.weight", _config.VocabularySize, _config.HiddenSize);
        for (int i = 0; i < _config.LayerCount; i++)
            AddLayer($"blk.{i}.", $"{prefix}layers.{i}.", _config.Layers[i], _config.SparseLayers[i]);
        AddNorm(GgufNames.FinalNorm, prefix + "norm.weight", _config.HiddenSize);
        if (!_config.TiedEmbeddings)
            AddMatrix(GgufNames.Head, "lm_head.weight", _config.VocabularySize, _config.HiddenSize);

        // The prediction head of one block; more blocks, of which there are no models, stay behind.
        if (!predictionHead || !_plan.Has("mtp.fc.weight") || !_plan.Has("mtp.layers.0.self_attn.q_proj.weight"))
            return _config.LayerCount;
        string block = $"blk.{_config.LayerCount}.";
        AddLayer(block, "mtp.layers.0.", LayerKind.FullAttention, _config.Moe is not null && _plan.Has("mtp.layers.0.mlp.gate.weight"));
        AddMatrix(block + GgufNames.GgufHeadTensor("mtp.fc.weight"), "mtp.fc.weight", _config.HiddenSize, 2 * _config.HiddenSize);
        foreach (string norm in (ReadOnlySpan<string>)["mtp.pre_fc_norm_embedding.weight", "mtp.pre_fc_norm_hidden.weight", "mtp.norm.weight"])
            AddNorm(block + GgufNames.GgufHeadTensor(norm), norm, _config.HiddenSize);
        return _config.LayerCount + 1;
    }

    private void AddLayer(string block, string layer, LayerKind kind, bool sparse)
    {
        foreach (string norm in (ReadOnlySpan<string>)["input_layernorm.weight", "post_attention_layernorm.weight"])
            AddNorm(Gguf(block, norm), layer + norm, _config.HiddenSize);
        if (kind == LayerKind.LinearAttention)
            AddLinearAttention(block, layer, _config.LinearAttention!);
        else
            AddAttention(block, layer, _config.Attention);
        if (sparse)
            AddExperts(block, layer, _config.Moe!);
        else
            AddMlp(block, layer, "mlp", _config.IntermediateSize);
    }

    private void AddAttention(string block, string layer, AttentionConfig shape)
    {
        int queries = shape.QueryHeads * shape.HeadDim;
        int keys = shape.KvHeads * shape.HeadDim;
        (string Name, int Rows, int Columns)[] projections =
        [
            ("q_proj", shape.OutputGate ? 2 * queries : queries, _config.HiddenSize), ("k_proj", keys, _config.HiddenSize),
            ("v_proj", keys, _config.HiddenSize), ("o_proj", _config.HiddenSize, queries),
        ];
        foreach ((string name, int rows, int columns) in projections)
        {
            AddLayerMatrix(block, layer, $"self_attn.{name}.weight", rows, columns);
            if (shape.Bias)
                AddNumbers(Gguf(block, $"self_attn.{name}.bias"), _plan.Vector($"{layer}self_attn.{name}.bias", rows));
        }

        AddNorm(Gguf(block, "self_attn.q_norm.weight"), layer + "self_attn.q_norm.weight", shape.HeadDim);
        AddNorm(Gguf(block, "self_attn.k_norm.weight"), layer + "self_attn.k_norm.weight", shape.HeadDim);
    }

    private void AddLinearAttention(string block, string layer, LinearAttentionConfig shape)
    {
        string name = layer + "linear_attn.";
        int values = shape.ValueHeads * shape.ValueDim;

        // Files have value heads tiled over key heads where checkpoints group them.
        int[]? heads = _tiled ? RowOrder.Inverse(RowOrder.Grouped(shape, 1)) : null;
        int[]? channels = _tiled ? RowOrder.Inverse(RowOrder.GroupedChannels(shape)) : null;
        int[]? valueRows = _tiled ? RowOrder.Inverse(RowOrder.Grouped(shape, shape.ValueDim)) : null;
        if (_plan.Has(name + "in_proj_qkv.weight"))
        {
            Add(block + "attn_qkv.weight", [shape.ConvChannels, _config.HiddenSize], [_plan.Matrix(name + "in_proj_qkv.weight", shape.ConvChannels, _config.HiddenSize)], channels);
            Add(block + "attn_gate.weight", [values, _config.HiddenSize], [_plan.Matrix(name + "in_proj_z.weight", values, _config.HiddenSize)], valueRows);
        }
        else
        {
            MatrixSource projection = _plan.Matrix(name + "in_proj_qkvz.weight", shape.ConvChannels + values, _config.HiddenSize);
            int[] order = RowOrder.QueryKeyValueGate(shape);
            Add(block + "attn_qkv.weight", [shape.ConvChannels, _config.HiddenSize], [projection], order[..shape.ConvChannels]);
            Add(block + "attn_gate.weight", [values, _config.HiddenSize], [projection], order[shape.ConvChannels..]);
        }

        AddGates(block, name, shape, heads);
        float[] taps = _plan.Vector(name + "conv1d.weight", shape.ConvChannels, 1, shape.ConvKernel);
        AddNumbers(block + "ssm_conv1d.weight", Reordered(taps, channels, shape.ConvKernel), shape.ConvChannels, shape.ConvKernel);
        AddNumbers(block + "ssm_dt.bias", Reordered(_plan.Vector(name + "dt_bias", shape.ValueHeads), heads, 1));
        AddNumbers(block + "ssm_a", Array.ConvertAll(Reordered(_plan.Vector(name + "A_log", shape.ValueHeads), heads, 1), value => -MathF.Exp(value)));
        AddNumbers(block + "ssm_norm.weight", _plan.Vector(name + "norm.weight", shape.ValueDim));
        Add(block + "ssm_out.weight", [_config.HiddenSize, values], [_plan.Matrix(name + "out_proj.weight", _config.HiddenSize, values)], null, heads);
    }

    /// <summary>qwen3next has b and a in one, by key head; qwen35 has them apart.</summary>
    private void AddGates(string block, string name, LinearAttentionConfig shape, int[]? heads)
    {
        bool apart = _plan.Has(name + "in_proj_b.weight");
        if (_config.Architecture == Architecture.Qwen3Next)
        {
            MatrixSource[] parts = apart ? [Gate("in_proj_b"), Gate("in_proj_a")] : [_plan.Matrix(name + "in_proj_ba.weight", 2 * shape.ValueHeads, _config.HiddenSize)];
            Add(block + "ssm_ba.weight", [2 * shape.ValueHeads, _config.HiddenSize], parts, apart ? RowOrder.Inverse(RowOrder.BetaDecay(shape)) : null);
            return;
        }

        Add(block + "ssm_beta.weight", [shape.ValueHeads, _config.HiddenSize], [Gate("in_proj_b")], heads);
        Add(block + "ssm_alpha.weight", [shape.ValueHeads, _config.HiddenSize], [Gate("in_proj_a")], heads);

        MatrixSource Gate(string gate) => _plan.Matrix($"{name}{gate}.weight", shape.ValueHeads, _config.HiddenSize);
    }

    private void AddExperts(string block, string layer, MoeConfig moe)
    {
        int hidden = _config.HiddenSize;
        int width = moe.IntermediateSize;
        AddLayerMatrix(block, layer, "mlp.gate.weight", moe.Experts, hidden);
        string experts = layer + "mlp.experts.";
        bool stacked = _plan.Has(experts + "gate_up_proj");
        MatrixSource[] gateUp = stacked ? _plan.MatrixStack(experts + "gate_up_proj", moe.Experts, 2 * width, hidden) : [];
        int[] gateRows = [.. Enumerable.Range(0, width)];
        int[] upRows = [.. Enumerable.Range(width, width)];
        Add(block + "ffn_gate_exps.weight", [moe.Experts, width, hidden], stacked ? Array.ConvertAll(gateUp, both => both.SelectRows(gateRows)) : Each("gate_proj", width, hidden));
        Add(block + "ffn_up_exps.weight", [moe.Experts, width, hidden], stacked ? Array.ConvertAll(gateUp, both => both.SelectRows(upRows)) : Each("up_proj", width, hidden));
        Add(
            block + "ffn_down_exps.weight", [moe.Experts, hidden, width],
            stacked ? _plan.MatrixStack(experts + "down_proj", moe.Experts, hidden, width) : Each("down_proj", hidden, width));
        if (moe.SharedIntermediateSize == 0)
            return;
        AddNumbers(block + "ffn_gate_inp_shexp.weight", _plan.Vector(layer + "mlp.shared_expert_gate.weight", 1, hidden));
        AddMlp(block, layer, "mlp.shared_expert", moe.SharedIntermediateSize);

        MatrixSource[] Each(string name, int rows, int columns) =>
            [.. Enumerable.Range(0, moe.Experts).Select(e => _plan.Matrix($"{experts}{e}.{name}.weight", rows, columns))];
    }

    private void AddMlp(string block, string layer, string module, int width)
    {
        AddLayerMatrix(block, layer, module + ".gate_proj.weight", width, _config.HiddenSize);
        AddLayerMatrix(block, layer, module + ".up_proj.weight", width, _config.HiddenSize);
        AddLayerMatrix(block, layer, module + ".down_proj.weight", _config.HiddenSize, width);
    }

    private void AddLayerMatrix(string block, string layer, string name, int rows, int columns) => AddMatrix(Gguf(block, name), layer + name, rows, columns);

    private void AddMatrix(string gguf, string name, int rows, int columns) => Add(gguf, [rows, columns], [_plan.Matrix(name, rows, columns)]);

    private void AddNorm(string gguf, string name, int width) =>
        AddNumbers(gguf, Array.ConvertAll(_plan.Vector(name, width), value => _config.ZeroCentredNorm ? value + 1 : value));

    private void AddNumbers(string gguf, float[] values, params ReadOnlySpan<int> shape) =>
        _tensors.Add(new AssembledTensor(gguf, shape.IsEmpty ? [values.Length] : shape.ToArray(), values, []));

    private void Add(string gguf, int[] shape, MatrixSource[] parts, int[]? order = null, int[]? pieces = null) =>
        _tensors.Add(new AssembledTensor(gguf, shape, null, parts, order, pieces));

    private string Gguf(string block, string name) => block + GgufNames.GgufLayerTensor(name, _plainNorms);

    /// <summary>Rows of <paramref name="width"/> numbers in another order.</summary>
    private static float[] Reordered(float[] values, int[]? order, int width)
    {
        if (order is null)
            return values;
        float[] result = new float[values.Length];
        for (int row = 0; row < order.Length; row++)
            values.AsSpan(order[row] * width, width).CopyTo(result.AsSpan(row * width));
        return result;
    }
}
