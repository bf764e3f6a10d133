namespace Sluice.Checkpoints.Tests.Gguf;

/// <summary>
/// The smallest hybrid model in GGUF files, spelled out by hand after what llama.cpp's converter writes: hidden 4, a linear layer and a full one, two
/// key heads and four value heads of 2, two experts of width 3. Matrices count: element [row, column] is 10 row + column.
/// </summary>
internal static class TinyGguf
{
    public const int Hidden = 4;

    public static GgufBytes Header(string arch, uint blocks = 2) => new GgufBytes()
        .Value("general.architecture", arch)
        .Value($"{arch}.block_count", blocks).Value($"{arch}.context_length", 64u).Value($"{arch}.embedding_length", 4u)
        .Value($"{arch}.feed_forward_length", 5u)
        .Value($"{arch}.attention.head_count", 2u).Value($"{arch}.attention.head_count_kv", 1u)
        .Value($"{arch}.attention.key_length", 4u).Value($"{arch}.attention.value_length", 4u)
        .Value($"{arch}.attention.layer_norm_rms_epsilon", 1e-6f)
        .Value($"{arch}.rope.freq_base", 1e7f).Value($"{arch}.rope.dimension_count", 2u)
        .Value($"{arch}.expert_count", 2u).Value($"{arch}.expert_used_count", 1u)
        .Value($"{arch}.expert_feed_forward_length", 3u).Value($"{arch}.expert_shared_feed_forward_length", 2u)
        .Value($"{arch}.ssm.conv_kernel", 2u).Value($"{arch}.ssm.state_size", 2u).Value($"{arch}.ssm.group_count", 2u)
        .Value($"{arch}.ssm.time_step_rank", 4u).Value($"{arch}.ssm.inner_size", 8u)
        .Value($"{arch}.full_attention_interval", 2u);

    public static GgufBytes Ends(this GgufBytes file, bool head = true)
    {
        file.Matrix("token_embd.weight", 3, Hidden).Tensor("output_norm.weight", [4], 1f, 1.5f, 0.75f, 1.25f);
        return head ? file.Matrix("output.weight", 3, Hidden) : file;
    }

    public static GgufBytes LinearLayer(this GgufBytes file, int block, string postNorm = "post_attention_norm") => file
        .Tensor($"blk.{block}.attn_norm.weight", [4], 1f, 2f, 3f, 4f)
        .Tensor($"blk.{block}.{postNorm}.weight", [4], 0f, 1f, 1f, 1f)
        .Tensor($"blk.{block}.ssm_conv1d.weight", [2, 16], [.. Enumerable.Range(0, 32).Select(i => (float)((10 * (i / 2)) + (i % 2)))])
        .Tensor($"blk.{block}.ssm_dt.bias", [4], 0.1f, 0.2f, 0.3f, 0.4f)
        .Tensor($"blk.{block}.ssm_a", [4], -1f, -0.5f, -2f, -0.25f)
        .Tensor($"blk.{block}.ssm_norm.weight", [2], 1.5f, 0.5f)
        .Matrix($"blk.{block}.ssm_out.weight", Hidden, 8);

    public static GgufBytes Projections(this GgufBytes file, int block) => file
        .Matrix($"blk.{block}.attn_qkv.weight", 16, Hidden).Matrix($"blk.{block}.attn_gate.weight", 8, Hidden);

    public static GgufBytes FullLayer(this GgufBytes file, int block) => file
        .Tensor($"blk.{block}.attn_norm.weight", [4], 1f, 1f, 1f, 1f)
        .Tensor($"blk.{block}.post_attention_norm.weight", [4], 1f, 1f, 1f, 1f)
        .Matrix($"blk.{block}.attn_q.weight", 16, Hidden).Matrix($"blk.{block}.attn_k.weight", 4, Hidden).Matrix($"blk.{block}.attn_v.weight", 4, Hidden)
        .Matrix($"blk.{block}.attn_output.weight", Hidden, 8)
        .Tensor($"blk.{block}.attn_q_norm.weight", [4], 1.5f, 1f, 1f, 1f).Tensor($"blk.{block}.attn_k_norm.weight", [4], 0.5f, 1f, 1f, 1f);

    public static GgufBytes Experts(this GgufBytes file, int block, bool fused = false)
    {
        file.Matrix($"blk.{block}.ffn_gate_inp.weight", 2, Hidden).Tensor($"blk.{block}.ffn_gate_inp_shexp.weight", [4], 1f, 2f, 3f, 4f)
            .Matrix($"blk.{block}.ffn_gate_shexp.weight", 2, Hidden).Matrix($"blk.{block}.ffn_up_shexp.weight", 2, Hidden)
            .Matrix($"blk.{block}.ffn_down_shexp.weight", Hidden, 2)
            .Stack($"blk.{block}.ffn_down_exps.weight", 2, Hidden, 3);
        return fused
            ? file.Stack($"blk.{block}.ffn_gate_up_exps.weight", 2, 6, Hidden)
            : file.Stack($"blk.{block}.ffn_gate_exps.weight", 2, 3, Hidden).Stack($"blk.{block}.ffn_up_exps.weight", 2, 3, Hidden);
    }

    public static GgufBytes Mlp(this GgufBytes file, int block) => file
        .Matrix($"blk.{block}.ffn_gate.weight", 5, Hidden).Matrix($"blk.{block}.ffn_up.weight", 5, Hidden).Matrix($"blk.{block}.ffn_down.weight", Hidden, 5);

    public static GgufBytes Matrix(this GgufBytes file, string name, int rows, int columns) => file.Tensor(name, [(ulong)columns, (ulong)rows], Counting(rows, columns));

    public static GgufBytes Stack(this GgufBytes file, string name, int matrices, int rows, int columns) =>
        file.Tensor(name, [(ulong)columns, (ulong)rows, (ulong)matrices], Counting(matrices * rows, columns));

    public static float[] Counting(int rows, int columns) => [.. Enumerable.Range(0, rows * columns).Select(i => (float)((10 * (i / columns)) + (i % columns)))];
}
