using Sluice.Checkpoints.Gguf;
using Sluice.Checkpoints.Quantising;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests.Gguf;

/// <summary>
/// What GGUF files of each architecture mean, against expectations written by hand, for the reader and for the writer apart: both wrong in the same way
/// would still agree with each other.
/// </summary>
public sealed class GgufConventionTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_qwen3next_file_is_read()
    {
        using Checkpoint model = Open(TinyGguf.Header("qwen3next").Ends().LinearLayer(0).Projections(0).Matrix("blk.0.ssm_ba.weight", 8, 4).Experts(0).FullLayer(1).Experts(1, fused: true));
        ModelConfig config = model.Config;
        Assert.Equal((Architecture.Qwen3Next, "qwen3_next", 4, 3, 64), (config.Architecture, config.ModelType, config.HiddenSize, config.VocabularySize, config.MaxPositions));
        Assert.Equal([LayerKind.LinearAttention, LayerKind.FullAttention], config.Layers);
        Assert.Equal(new AttentionConfig(2, 1, 4, 2, 1e7, OutputGate: true, Bias: false), config.Attention);
        Assert.Equal(new LinearAttentionConfig(2, 4, 2, 2, 2), config.LinearAttention);
        Assert.Equal(new MoeConfig(2, 1, 3, 2, NormaliseTopK: true), config.Moe);
        Assert.Equal((1e-6f, true, false, 0), (config.NormEpsilon, config.ZeroCentredNorm, config.TiedEmbeddings, config.MtpLayers));

        // Norms had 1 added, but for the DeltaNet's own; A_log is the logarithm of what was negated and raised.
        AssertRows(model, "model.norm.weight", [0f, 0.5f, -0.25f, 0.25f]);
        AssertRows(model, "model.layers.0.input_layernorm.weight", [0f, 1f, 2f, 3f]);
        AssertRows(model, "model.layers.0.post_attention_layernorm.weight", [-1f, 0f, 0f, 0f]);
        AssertRows(model, "model.layers.1.self_attn.q_norm.weight", [0.5f, 0f, 0f, 0f]);
        AssertRows(model, "model.layers.0.linear_attn.norm.weight", [1.5f, 0.5f]);
        AssertRows(model, "model.layers.0.linear_attn.A_log", [0f, MathF.Log(0.5f), MathF.Log(2f), MathF.Log(0.25f)]);
        AssertRows(model, "model.layers.0.linear_attn.dt_bias", [0.1f, 0.2f, 0.3f, 0.4f]);

        // Heads lie as checkpoints have them; b and a of each key head together.
        AssertFirstColumn(model, "model.layers.0.linear_attn.in_proj_qkv.weight", [.. Enumerable.Range(0, 16)]);
        AssertFirstColumn(model, "model.layers.0.linear_attn.in_proj_z.weight", [.. Enumerable.Range(0, 8)]);
        AssertFirstColumn(model, "model.layers.0.linear_attn.in_proj_b.weight", [0, 1, 4, 5]);
        AssertFirstColumn(model, "model.layers.0.linear_attn.in_proj_a.weight", [2, 3, 6, 7]);
        Assert.Equal([16, 1, 2], model.Find("model.layers.0.linear_attn.conv1d.weight")!.Shape);
        Assert.Equal([1, 4], model.Find("model.layers.0.mlp.shared_expert_gate.weight")!.Shape);

        // Experts one by one: stacked, or gate above up.
        AssertFirstColumn(model, "model.layers.0.mlp.experts.0.gate_proj.weight", [0, 1, 2]);
        AssertFirstColumn(model, "model.layers.0.mlp.experts.1.up_proj.weight", [3, 4, 5]);
        AssertFirstColumn(model, "model.layers.0.mlp.experts.1.down_proj.weight", [4, 5, 6, 7]);
        AssertFirstColumn(model, "model.layers.1.mlp.experts.0.up_proj.weight", [3, 4, 5]);
        AssertFirstColumn(model, "model.layers.1.mlp.experts.1.gate_proj.weight", [6, 7, 8]);
        AssertFirstColumn(model, "model.layers.1.mlp.experts.1.up_proj.weight", [9, 10, 11]);
    }

    [Fact]
    public void Older_files_keep_the_projection_by_key_head()
    {
        using Checkpoint model = Open(TinyGguf.Header("qwen3next").Ends().LinearLayer(0).Matrix("blk.0.ssm_in.weight", 24, 4).Matrix("blk.0.ssm_ba.weight", 8, 4).Experts(0).FullLayer(1).Experts(1));
        AssertFirstColumn(model, "model.layers.0.linear_attn.in_proj_qkv.weight", [0, 1, 12, 13, 2, 3, 14, 15, 4, 5, 6, 7, 16, 17, 18, 19]);
        AssertFirstColumn(model, "model.layers.0.linear_attn.in_proj_z.weight", [8, 9, 10, 11, 20, 21, 22, 23]);
    }

    [Theory]
    [InlineData("qwen35moe", Architecture.Qwen35Moe)]
    [InlineData("qwen35", Architecture.Qwen35)]
    public void Qwen35_files_have_value_heads_tiled(string arch, Architecture expected)
    {
        bool sparse = expected == Architecture.Qwen35Moe;
        GgufBytes file = TinyGguf.Header(arch).Ends(head: false).LinearLayer(0).Projections(0)
            .Matrix("blk.0.ssm_beta.weight", 4, 4).Matrix("blk.0.ssm_alpha.weight", 4, 4).FullLayer(1);
        using Checkpoint model = Open(sparse ? file.Experts(0).Experts(1) : file.Mlp(0).Mlp(1));
        Assert.Equal((expected, true), (model.Config.Architecture, model.Config.TiedEmbeddings));
        Assert.Equal(sparse ? 0 : 5, model.Config.IntermediateSize);
        Assert.Equal(sparse, model.Config.Moe is not null);

        // Stored value heads 0..3 are (key head, which) = (0,0), (1,0), (0,1), (1,1); wanted are (0,0), (0,1), (1,0), (1,1).
        string name = "model.layers.0.linear_attn.";
        AssertFirstColumn(model, name + "in_proj_qkv.weight", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]);
        AssertFirstColumn(model, name + "in_proj_z.weight", [0, 1, 4, 5, 2, 3, 6, 7]);
        AssertFirstColumn(model, name + "in_proj_b.weight", [0, 2, 1, 3]);
        AssertFirstColumn(model, name + "in_proj_a.weight", [0, 2, 1, 3]);
        AssertRows(model, name + "dt_bias", [0.1f, 0.3f, 0.2f, 0.4f]);
        AssertRows(model, name + "A_log", [0f, MathF.Log(2f), MathF.Log(0.5f), MathF.Log(0.25f)]);
        float[] taps = Values(model, name + "conv1d.weight");
        Assert.Equal([0f, 1f, 10f, 11f], taps[..4]);
        Assert.Equal([120f, 121f, 130f, 131f, 100f, 101f], taps[20..26]);
        Assert.Equal([0f, 1f, 4f, 5f, 2f, 3f, 6f, 7f, 10f, 11f, 14f], Values(model, name + "out_proj.weight")[..11]);

        // For a backend that takes them as they lie, nothing moves, and the key heads are said to alternate.
        TensorStore stored = model.WithStoredHeads();
        Assert.Equal([0, 1, 0, 1], Enumerable.Range(0, 4).Select(stored.Config.LinearAttention!.KeyHeadOf));
        Assert.Equal([0, 0, 1, 1], Enumerable.Range(0, 4).Select(model.Config.LinearAttention!.KeyHeadOf));
        Assert.Equal(model.Names.Order(StringComparer.Ordinal), stored.Names.Order(StringComparer.Ordinal));
        TensorInfo outProj = stored.Find(name + "out_proj.weight", [], DType.F32)!;
        float[] columns = new float[32];
        StoredNumbers.Decode(DType.F32, stored.Bytes(outProj, 0, 128, []), columns);
        Assert.Equal(TinyGguf.Counting(4, 8), columns);
    }

    [Fact]
    public void A_prediction_head_is_the_last_block()
    {
        GgufBytes file = TinyGguf.Header("qwen3next", blocks: 3).Value("qwen3next.nextn_predict_layers", 1u)
            .Ends().LinearLayer(0).Projections(0).Matrix("blk.0.ssm_ba.weight", 8, 4).Experts(0).FullLayer(1).Experts(1).FullLayer(2).Experts(2)
            .Matrix("blk.2.nextn.eh_proj.weight", 4, 8).Tensor("blk.2.nextn.enorm.weight", [4], 1f, 2f, 3f, 4f)
            .Tensor("blk.2.nextn.hnorm.weight", [4], 1f, 1f, 1f, 2f).Tensor("blk.2.nextn.shared_head_norm.weight", [4], 1f, 1f, 2f, 2f);
        using Checkpoint model = Open(file);
        Assert.Equal((2, 1), (model.Config.LayerCount, model.Config.MtpLayers));
        AssertFirstColumn(model, "mtp.fc.weight", [0, 1, 2, 3]);
        AssertRows(model, "mtp.pre_fc_norm_embedding.weight", [0f, 1f, 2f, 3f]);
        AssertRows(model, "mtp.pre_fc_norm_hidden.weight", [0f, 0f, 0f, 1f]);
        AssertRows(model, "mtp.norm.weight", [0f, 0f, 1f, 1f]);
        Assert.True(model.Has("mtp.layers.0.self_attn.q_proj.weight"));
        Assert.True(model.Has("mtp.layers.0.mlp.experts.1.up_proj.weight"));
        Assert.DoesNotContain(model.Names, name => name.StartsWith("blk.", StringComparison.Ordinal));
    }

    [Fact]
    public void Qwen3_files_have_plain_norms()
    {
        GgufBytes file = TinyGguf.Header("qwen3").Ends();
        foreach (int block in (ReadOnlySpan<int>)[0, 1])
        {
            file.Tensor($"blk.{block}.attn_norm.weight", [4], 1f, 2f, 3f, 4f).Tensor($"blk.{block}.ffn_norm.weight", [4], 5f, 1f, 1f, 1f)
                .Matrix($"blk.{block}.attn_q.weight", 8, 4).Matrix($"blk.{block}.attn_k.weight", 4, 4).Matrix($"blk.{block}.attn_v.weight", 4, 4)
                .Matrix($"blk.{block}.attn_output.weight", 4, 8).Tensor($"blk.{block}.attn_q_norm.weight", [4], 1f, 1f, 1f, 1f)
                .Tensor($"blk.{block}.attn_k_norm.weight", [4], 1f, 1f, 1f, 1f).Mlp(block);
        }

        using Checkpoint model = Open(file);
        Assert.Equal([LayerKind.FullAttention, LayerKind.FullAttention], model.Config.Layers);
        Assert.False(model.Config.Attention.OutputGate || model.Config.ZeroCentredNorm);
        AssertRows(model, "model.layers.0.input_layernorm.weight", [1f, 2f, 3f, 4f]);
        AssertRows(model, "model.layers.1.post_attention_layernorm.weight", [5f, 1f, 1f, 1f]);
    }

    [Theory]
    [InlineData("next-moe")]
    [InlineData("qwen35-moe")]
    [InlineData("qwen3-dense")]
    public void The_writer_stores_what_llama_cpp_expects(string name)
    {
        using Checkpoint source = Checkpoint.Open(TestData.RandomCheckpoint(name));
        GgufQuantiser.Write(source, _folder["x.gguf"], GgufMix.F32);
        byte[] file = File.ReadAllBytes(_folder["x.gguf"]);
        (Dictionary<string, GgufValue> values, List<TensorInfo> tensors) = GgufHeader.Parse(file, file.Length, "x", 0);
        Assert.Contains("general.architecture", values.Keys);

        float[] Stored(string tensor)
        {
            TensorInfo info = tensors.Single(t => t.Name == tensor);
            float[] result = new float[info.ByteLength / 4];
            Floats.Widen(DType.F32, file.AsSpan((int)info.Offset, (int)info.ByteLength), result);
            return result;
        }

        float plusOne = name == "qwen3-dense" ? 0 : 1;
        Assert.Equal(Values(source, "model.norm.weight").Select(w => w + plusOne), Stored("output_norm.weight"));
        Assert.Equal(Values(source, "model.layers.3.self_attn.q_proj.weight".Replace("3", name == "qwen3-dense" ? "0" : "3", StringComparison.Ordinal)), Stored(name == "qwen3-dense" ? "blk.0.attn_q.weight" : "blk.3.attn_q.weight"));
        if (name == "qwen3-dense")
            return;

        // Four value heads of 32 over two key heads of 32, hidden 64.
        string layer = "model.layers.0.linear_attn.";
        Assert.Equal(Values(source, layer + "norm.weight"), Stored("blk.0.ssm_norm.weight"));
        Assert.Equal([1, 64], source.Find("model.layers.0.mlp.shared_expert_gate.weight")!.Shape);
        Assert.Equal([64], tensors.Single(t => t.Name == "blk.0.ffn_gate_inp_shexp.weight").Shape);
        Assert.Equal([256, 4], tensors.Single(t => t.Name == "blk.0.ssm_conv1d.weight").Shape);
        Assert.Equal([6, 32, 64], tensors.Single(t => t.Name == "blk.0.ffn_up_exps.weight").Shape);
        Assert.Equal(Values(source, "model.layers.0.mlp.experts.5.up_proj.weight"), Stored("blk.0.ffn_up_exps.weight")[(5 * 32 * 64)..]);
        int[] heads = name == "next-moe" ? [0, 1, 2, 3] : [0, 2, 1, 3]; // as files have them, by the checkpoint's numbers
        float[] aLog = Values(source, layer + "A_log");
        Assert.Equal(heads.Select(h => -MathF.Exp(aLog[h])), Stored("blk.0.ssm_a"));
        Assert.Equal(heads.Select(h => Values(source, layer + "dt_bias")[h]), Stored("blk.0.ssm_dt.bias"));
        float[] z = Stored("blk.0.attn_gate.weight");
        float[] qkv = Stored("blk.0.attn_qkv.weight");
        if (name == "next-moe")
        {
            // Rows of a key head: q 32, k 32, v 64, z 64.
            float[] all = Values(source, layer + "in_proj_qkvz.weight");
            Assert.Equal(Rows(all, 64, 192, 32), Rows(qkv, 64, 32, 32)); // q of key head 1
            Assert.Equal(Rows(all, 64, 32, 32), Rows(qkv, 64, 64, 32)); // k of key head 0
            Assert.Equal(Rows(all, 64, 192 + 64, 64), Rows(qkv, 64, 128 + 64, 64)); // v of key head 1
            Assert.Equal(Rows(all, 64, 192 + 128, 64), Rows(z, 64, 64, 64));
            Assert.Equal(Values(source, layer + "in_proj_ba.weight"), Stored("blk.0.ssm_ba.weight"));
            return;
        }

        for (int head = 0; head < 4; head++)
        {
            Assert.Equal(Rows(Values(source, layer + "in_proj_z.weight"), 64, 32 * heads[head], 32), Rows(z, 64, 32 * head, 32));
            Assert.Equal(Rows(Values(source, layer + "in_proj_qkv.weight"), 64, 128 + (32 * heads[head]), 32), Rows(qkv, 64, 128 + (32 * head), 32));
            Assert.Equal(Rows(Values(source, layer + "in_proj_b.weight"), 64, heads[head], 1), Rows(Stored("blk.0.ssm_beta.weight"), 64, head, 1));
            Assert.Equal(Rows(Values(source, layer + "in_proj_a.weight"), 64, heads[head], 1), Rows(Stored("blk.0.ssm_alpha.weight"), 64, head, 1));
            Assert.Equal(Values(source, layer + "out_proj.weight").AsSpan(128 + (32 * heads[head]), 32), Stored("blk.0.ssm_out.weight").AsSpan(128 + (32 * head), 32)); // row 1
            Assert.Equal(Rows(Values(source, layer + "conv1d.weight"), 4, 128 + (32 * heads[head]), 32), Rows(Stored("blk.0.ssm_conv1d.weight"), 4, 128 + (32 * head), 32));
        }
    }

    private static float[] Rows(float[] values, int columns, int first, int count) => values[(first * columns)..((first + count) * columns)];

    private Checkpoint Open(GgufBytes file)
    {
        File.WriteAllBytes(_folder["model.gguf"], file.ToArray());
        return Checkpoint.Open(_folder["model.gguf"]);
    }

    private static float[] Values(Checkpoint model, string name)
    {
        TensorInfo tensor = model.Find(name)!;
        Assert.NotNull(tensor);
        float[] values = new float[tensor.Shape.Aggregate(1, (a, b) => a * b)];
        StoredNumbers.Decode(tensor.Type, model.Bytes(tensor, 0, (int)tensor.ByteLength, new byte[tensor.ByteLength]), values);
        return values;
    }

    private static void AssertRows(Checkpoint model, string name, float[] expected) => Assert.Equal(expected, Values(model, name));

    private static void AssertFirstColumn(Checkpoint model, string name, int[] rows)
    {
        TensorInfo tensor = model.Find(name)!;
        float[] values = Values(model, name);
        Assert.Equal(rows.Length, tensor.Shape[0]);
        Assert.Equal(rows.Select(row => 10f * row), Enumerable.Range(0, rows.Length).Select(row => values[row * tensor.Shape[1]]));
    }
}
