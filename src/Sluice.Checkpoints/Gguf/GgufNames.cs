namespace Sluice.Checkpoints.Gguf;

/// <summary>How a GGUF file's tensors are called in Hugging Face's checkpoints, and the reverse.</summary>
internal static class GgufNames
{
    internal const string Embedding = "token_embd.weight";
    internal const string FinalNorm = "output_norm.weight";
    internal const string Head = "output.weight";

    /// <summary>Tensors of a layer that have one counterpart, which may differ in values or order but not in what it means.</summary>
    private static readonly (string Gguf, string HuggingFace)[] LayerTensors =
    [
        ("attn_norm.weight", "input_layernorm.weight"),
        ("post_attention_norm.weight", "post_attention_layernorm.weight"),
        ("attn_q.weight", "self_attn.q_proj.weight"),
        ("attn_q.bias", "self_attn.q_proj.bias"),
        ("attn_k.weight", "self_attn.k_proj.weight"),
        ("attn_k.bias", "self_attn.k_proj.bias"),
        ("attn_v.weight", "self_attn.v_proj.weight"),
        ("attn_v.bias", "self_attn.v_proj.bias"),
        ("attn_output.weight", "self_attn.o_proj.weight"),
        ("attn_output.bias", "self_attn.o_proj.bias"),
        ("attn_q_norm.weight", "self_attn.q_norm.weight"),
        ("attn_k_norm.weight", "self_attn.k_norm.weight"),
        ("attn_qkv.weight", "linear_attn.in_proj_qkv.weight"),
        ("attn_gate.weight", "linear_attn.in_proj_z.weight"),
        ("ssm_alpha.weight", "linear_attn.in_proj_a.weight"),
        ("ssm_beta.weight", "linear_attn.in_proj_b.weight"),
        ("ssm_ba.weight", "linear_attn.in_proj_ba.weight"),
        ("ssm_conv1d.weight", "linear_attn.conv1d.weight"),
        ("ssm_dt.bias", "linear_attn.dt_bias"),
        ("ssm_a", "linear_attn.A_log"),
        ("ssm_norm.weight", "linear_attn.norm.weight"),
        ("ssm_out.weight", "linear_attn.out_proj.weight"),
        ("ffn_gate_inp.weight", "mlp.gate.weight"),
        ("ffn_gate_inp_shexp.weight", "mlp.shared_expert_gate.weight"),
        ("ffn_gate_shexp.weight", "mlp.shared_expert.gate_proj.weight"),
        ("ffn_up_shexp.weight", "mlp.shared_expert.up_proj.weight"),
        ("ffn_down_shexp.weight", "mlp.shared_expert.down_proj.weight"),
        ("ffn_gate.weight", "mlp.gate_proj.weight"),
        ("ffn_up.weight", "mlp.up_proj.weight"),
        ("ffn_down.weight", "mlp.down_proj.weight"),
    ];

    /// <summary>What the block of the multi-token prediction head has besides a layer.</summary>
    private static readonly (string Gguf, string HuggingFace)[] HeadTensors =
    [
        ("nextn.eh_proj.weight", "mtp.fc.weight"),
        ("nextn.enorm.weight", "mtp.pre_fc_norm_embedding.weight"),
        ("nextn.hnorm.weight", "mtp.pre_fc_norm_hidden.weight"),
        ("nextn.shared_head_norm.weight", "mtp.norm.weight"),
    ];

    private static readonly Dictionary<string, string> ToHuggingFace = LayerTensors.ToDictionary(pair => pair.Gguf, pair => pair.HuggingFace, StringComparer.Ordinal);

    private static readonly Dictionary<string, string> ToGguf = LayerTensors.ToDictionary(pair => pair.HuggingFace, pair => pair.Gguf, StringComparer.Ordinal);

    private static readonly Dictionary<string, string> HeadToHuggingFace = HeadTensors.ToDictionary(pair => pair.Gguf, pair => pair.HuggingFace, StringComparer.Ordinal);

    private static readonly Dictionary<string, string> HeadToGguf = HeadTensors.ToDictionary(pair => pair.HuggingFace, pair => pair.Gguf, StringComparer.Ordinal);

    /// <summary>The name of a layer's tensor behind <c>layers.N.</c>, given that behind <c>blk.N.</c>; null for one that has no counterpart of its own.</summary>
    /// <param name="name">Behind <c>blk.N.</c>.</param>
    /// <param name="plainNorms">Qwen3, which calls the second norm <c>ffn_norm</c>.</param>
    internal static string? LayerTensor(string name, bool plainNorms) =>
        name == "ffn_norm.weight" && plainNorms ? "post_attention_layernorm.weight" : ToHuggingFace.GetValueOrDefault(name);

    /// <summary>The reverse of <see cref="LayerTensor"/>.</summary>
    internal static string? GgufLayerTensor(string name, bool plainNorms) =>
        name == "post_attention_layernorm.weight" && plainNorms ? "ffn_norm.weight" : ToGguf.GetValueOrDefault(name);

    /// <summary>The whole name of a prediction head's own tensor, given that behind <c>blk.N.</c>.</summary>
    internal static string? HeadTensor(string name) => HeadToHuggingFace.GetValueOrDefault(name);

    /// <summary>The reverse of <see cref="HeadTensor"/>.</summary>
    internal static string? GgufHeadTensor(string name) => HeadToGguf.GetValueOrDefault(name);

    /// <summary>Takes <c>blk.12.attn_q.weight</c> apart.</summary>
    internal static bool TrySplit(string name, out int block, out string rest)
    {
        const string Prefix = "blk.";
        (block, rest) = (0, "");
        if (!name.StartsWith(Prefix, StringComparison.Ordinal))
            return false;
        int dot = name.IndexOf('.', Prefix.Length);
        if (dot < 0 || dot - Prefix.Length > 6 || !int.TryParse(name.AsSpan(Prefix.Length, dot - Prefix.Length), System.Globalization.NumberStyles.None, null, out block))
            return false;
        rest = name[(dot + 1)..];
        return true;
    }
}
