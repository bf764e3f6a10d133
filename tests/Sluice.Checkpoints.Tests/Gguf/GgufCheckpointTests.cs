using System.Globalization;
using Sluice.Checkpoints.Quantising;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests.Gguf;

public sealed class GgufCheckpointTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Every_truncation_of_a_file_is_a_typed_error()
    {
        byte[] whole = Model("qwen3next").ToArray();
        for (int length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(_folder["x.gguf"], whole[..length]);
            Assert.Throws<CheckpointException>(() => Checkpoint.Open(_folder["x.gguf"]));
        }

        Open(Model("qwen3next")).Dispose();
    }

    [Fact]
    public void What_is_impossible_or_not_implemented_is_refused_by_key()
    {
        Refused("general.architecture: 'llama' is not implemented", TinyGguf.Header("llama").Ends());
        Refused("general.architecture: is missing", new GgufBytes().Ends());
        Refused("there is no matrix token_embd.weight", TinyGguf.Header("qwen3next"));
        Refused("qwen3next.rope.scaling.type: rope scaling 'yarn' is not implemented", Model("qwen3next").Value("qwen3next.rope.scaling.type", "yarn").Value("qwen3next.rope.scaling.factor", 4f));
        Refused("qwen3next.expert_gating_func: 2 is not implemented", Model("qwen3next").Value("qwen3next.expert_gating_func", 2u));
        Refused("qwen3next.expert_weights_scale: 2.5 is not implemented", Model("qwen3next").Value("qwen3next.expert_weights_scale", 2.5f));
        Refused("qwen3next.attention.sliding_window", Model("qwen3next").Value("qwen3next.attention.sliding_window", 128u));
        Refused("qwen3next.nextn_predict_layers: 2 of 2 blocks leave no layer", Model("qwen3next").Value("qwen3next.nextn_predict_layers", 2u));
        Refused("qwen3next.attention.recurrent_layers: expected 2 elements, found 1", Model("qwen3next").Value("qwen3next.attention.recurrent_layers", new[] { 1 }));
        Refused("general.sampling.top_p: expected a number from 0 to 1, found 1.5", Model("qwen3next").Value("general.sampling.top_p", 1.5f));
        Open(Model("qwen3next").Value("qwen3next.rope.scaling.type", "none")).Dispose();
    }

    [Fact]
    public void Flags_of_layers_win_over_the_interval()
    {
        // The sample has a linear layer first; the flags, were they true, would make it a full one, so the tensors show.
        using Checkpoint model = Open(Model("qwen3next").Value("qwen3next.attention.recurrent_layers", 0, 1));
        Assert.Equal([LayerKind.FullAttention, LayerKind.LinearAttention], model.Config.Layers);
        Assert.Contains("self_attn.q_proj.weight: is missing", Assert.Throws<CheckpointException>(() => GgufModelTensors.Of(model, predictionHead: true)).Problems.First(problem => problem.Contains("q_proj", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Fact]
    public void Sampling_and_ends_are_read()
    {
        using Checkpoint model = Open(Model("qwen3next")
            .Value("tokenizer.ggml.tokens", "a", "<|endoftext|>", "b", "<|im_end|>").Value("tokenizer.ggml.eos_token_id", 2u)
            .Value("general.sampling.temp", 0.5f).Value("general.sampling.top_k", 20u).Value("general.sampling.min_p", 0.25f));
        Assert.Equal([2, 1, 3], model.Config.EndOfText);
        Assert.Equal((0.5f, 20, 0.25f, true), (model.Generation.Temperature, model.Generation.TopK, model.Generation.MinP, model.Generation.DoSample));
        using Checkpoint silent = Open(Model("qwen3next"));
        Assert.Equal(GenerationDefaults.None with { EndOfText = silent.Generation.EndOfText }, silent.Generation);
    }

    [Fact]
    public void Split_files_are_one_model_and_lacking_ones_are_named()
    {
        GgufBytes First() => TinyGguf.Header("qwen3next").Raw("split.no", 2, 0, 0).Raw("split.count", 2, 3, 0).Raw("split.tensors.count", 5, BitConverter.GetBytes(37));
        GgufBytes Other(byte number) => new GgufBytes().Raw("split.no", 2, number, 0).Raw("split.count", 2, 3, 0);
        string first = Write(1, First().Ends());
        Assert.Contains("2 problems, the first: its 'm-00002-of-00003.gguf' is not there", Error(first), StringComparison.Ordinal);
        string second = Write(2, Other(1).LinearLayer(0).Projections(0).Matrix("blk.0.ssm_ba.weight", 8, 4).Experts(0));
        Write(3, Other(2).FullLayer(1).Experts(1));
        using (Checkpoint model = Checkpoint.Open(first))
        {
            Assert.Equal(3, model.Files.Count);
            Assert.Equal(2, GgufModelTensors.Of(model, predictionHead: true).Blocks);
            Assert.Equal([1, 2, 0], new[] { "model.layers.0.linear_attn.A_log", "model.layers.1.self_attn.k_proj.weight", "lm_head.weight" }.Select(name => model.Find(name)!.Shard));
        }

        Assert.Contains("open the first", Error(second), StringComparison.Ordinal);
        Write(3, Other(1).FullLayer(1).Experts(1));
        Assert.Contains("expected split.no 2 and split.count 3", Error(first), StringComparison.Ordinal);
        Write(3, Other(2).FullLayer(1).Experts(1).Matrix("token_embd.weight", 3, 4));
        Assert.Contains("'token_embd.weight' is in another file as well", Error(first), StringComparison.Ordinal);
        Write(3, Other(2).FullLayer(1));
        Assert.Contains("split.tensors.count: expected 37 tensors in 3 files, found 29", Error(first), StringComparison.Ordinal);

        string Write(int number, GgufBytes file)
        {
            string path = _folder[string.Create(CultureInfo.InvariantCulture, $"m-{number:D5}-of-00003.gguf")];
            File.WriteAllBytes(path, file.ToArray());
            return path;
        }

        static string Error(string path) => Assert.Throws<CheckpointException>(() => Checkpoint.Open(path)).Message;
    }

    /// <summary>The value heads of qwen35 lie across blocks of 256 when heads are 128 wide, and within those of 32.</summary>
    [Theory]
    [InlineData(DType.Q8_0, 8u)]
    [InlineData(DType.Q4_K, 12u)]
    public void Columns_of_quantised_matrices_go_back_to_their_heads(DType type, uint number)
    {
        byte[] stored = new byte[4 * type.RowBytes(512)];
        new Random(1).NextBytes(stored);
        int block = type.Block().Bytes;
        for (int at = 0; at < stored.Length; at += block)
            stored.AsSpan(at, 4).Fill(0x20); // factors that are no NaN
        const string Arch = "qwen35";
        GgufBytes file = new GgufBytes().Value("general.architecture", Arch)
            .Value($"{Arch}.block_count", 1u).Value($"{Arch}.context_length", 64u).Value($"{Arch}.embedding_length", 4u).Value($"{Arch}.feed_forward_length", 5u)
            .Value($"{Arch}.attention.head_count", 2u).Value($"{Arch}.attention.head_count_kv", 1u).Value($"{Arch}.attention.key_length", 4u)
            .Value($"{Arch}.attention.layer_norm_rms_epsilon", 1e-6f).Value($"{Arch}.rope.freq_base", 1e7f)
            .Value($"{Arch}.ssm.conv_kernel", 2u).Value($"{Arch}.ssm.state_size", 128u).Value($"{Arch}.ssm.group_count", 2u)
            .Value($"{Arch}.ssm.time_step_rank", 4u).Value($"{Arch}.ssm.inner_size", 512u)
            .Ends().Tensor("blk.0.ssm_out.weight", [512, 4], number, stored);
        using Checkpoint model = Open(file);
        TensorInfo tensor = model.Find("model.layers.0.linear_attn.out_proj.weight")!;
        Assert.Equal(type == DType.Q8_0 ? DType.Q8_0 : DType.F16, tensor.Type);
        float[] expected = new float[4 * 512];
        StoredNumbers.Decode(type, stored, expected);
        byte[] bytes = model.Bytes(tensor, 0, (int)tensor.ByteLength, new byte[tensor.ByteLength]).ToArray();
        float[] found = new float[expected.Length];
        StoredNumbers.Decode(tensor.Type, bytes, found);
        int[] heads = [0, 2, 1, 3];
        for (int i = 0; i < found.Length; i++)
            Assert.Equal(expected[(i / 512 * 512) + (128 * heads[i % 512 / 128]) + (i % 128)], found[i], Math.Abs(found[i]) / 2048);
        Assert.Equal(bytes.AsSpan(77, 700), model.Bytes(tensor, 77, 700, new byte[700])); // any range
    }

    [Theory]
    [InlineData(GgufMix.Q4_K_M)]
    [InlineData(GgufMix.Q8_0)]
    public void Quantising_again_changes_nothing(GgufMix mix)
    {
        using (Checkpoint source = Checkpoint.Open(TestData.Demo))
            GgufQuantiser.Write(source, _folder["once.gguf"], mix);
        using (Checkpoint source = Checkpoint.Open(_folder["once.gguf"]))
            GgufQuantiser.Write(source, _folder["twice.gguf"], mix);
        Assert.Equal(File.ReadAllBytes(_folder["once.gguf"]), File.ReadAllBytes(_folder["twice.gguf"]));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_prediction_head_is_written_when_it_is_asked_for(bool asked)
    {
        using Checkpoint source = Checkpoint.Open(TestData.Demo);
        GgufQuantiser.Write(source, _folder["x.gguf"], GgufMix.BF16, predictionHead: asked);
        using Checkpoint file = Checkpoint.Open(_folder["x.gguf"]);
        Assert.Equal((8, asked ? 1 : 0), (file.Config.LayerCount, file.Config.MtpLayers));
        string[] heads = [.. file.Names.Where(name => name.StartsWith("mtp.", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
        Assert.Equal(asked ? source.Names.Where(name => name.StartsWith("mtp.", StringComparison.Ordinal)).Order(StringComparer.Ordinal) : [], heads);
        if (!asked)
            return;
        float[] Values(Checkpoint checkpoint, string name)
        {
            TensorInfo tensor = checkpoint.Find(name)!;
            float[] values = new float[tensor.Shape.Aggregate(1, (a, b) => a * b)];
            StoredNumbers.Decode(tensor.Type, checkpoint.Bytes(tensor, 0, (int)tensor.ByteLength, new byte[tensor.ByteLength]), values);
            return values;
        }

        // A sum with 1 and back is exact to half a unit of 1's last place.
        foreach (string name in heads)
            Assert.All(Values(source, name).Zip(Values(file, name)), pair => Assert.InRange(pair.First - pair.Second, -6e-8f, 6e-8f));
    }

    [Fact]
    public void Mixes_follow_the_role_and_the_width()
    {
        Assert.Equal(DType.F32, GgufMixes.TypeOf(GgufMix.Q4_K_M, "blk.3.ffn_gate_inp.weight", 2048, 48, false));
        Assert.Equal(DType.Q4_K, GgufMixes.TypeOf(GgufMix.Q4_K_M, "token_embd.weight", 2048, 48, false));
        Assert.Equal(DType.Q6_K, GgufMixes.TypeOf(GgufMix.Q4_K_M, "token_embd.weight", 2048, 48, true));
        Assert.Equal(DType.Q6_K, GgufMixes.TypeOf(GgufMix.Q4_K_M, "output.weight", 2048, 48, false));
        Assert.Equal(DType.Q5_K, GgufMixes.TypeOf(GgufMix.Q4_K_M, "blk.0.attn_qkv.weight", 2048, 48, false));
        Assert.Equal(DType.Q4_K, GgufMixes.TypeOf(GgufMix.Q4_K_M, "blk.0.attn_gate.weight", 2048, 48, false));
        Assert.Equal(DType.Q8_0, GgufMixes.TypeOf(GgufMix.Q4_K_M, "blk.0.ffn_down_exps.weight", 64, 48, false));
        Assert.Equal(DType.BF16, GgufMixes.TypeOf(GgufMix.Q8_0, "blk.0.ffn_down_exps.weight", 100, 48, false));
        Assert.Equal(DType.Q8_0, GgufMixes.TypeOf(GgufMix.Q8_0, "output.weight", 2048, 48, false));

        // Of 48 blocks the first six, the last six, and 8, 11, 14... between.
        int[] more = [.. Enumerable.Range(0, 48).Where(i => GgufMixes.TypeOf(GgufMix.Q5_K_M, $"blk.{i}.ffn_down_exps.weight", 512, 48, false) == DType.Q6_K)];
        Assert.Equal([.. Enumerable.Range(0, 6), 8, 11, 14, 17, 20, 23, 26, 29, 32, 35, 38, 41, .. Enumerable.Range(42, 6)], more);
    }

    [Fact]
    public void Numbers_that_no_block_holds_are_refused()
    {
        using TemporaryFolder copy = TemporaryFolder.CopyOf(TestData.RandomCheckpoint("qwen3-dense"));
        byte[] file = File.ReadAllBytes(copy["model.safetensors"]);
        using (Checkpoint checkpoint = Checkpoint.Open(copy.Path))
        {
            TensorInfo tensor = checkpoint.Find("model.layers.1.mlp.up_proj.weight")!;
            (file[tensor.Offset + 130], file[tensor.Offset + 131]) = (0x80, 0x7F); // infinity in bfloat16, row 1, column 1
        }

        File.WriteAllBytes(copy["model.safetensors"], file);
        using Checkpoint broken = Checkpoint.Open(copy.Path);
        string message = Assert.Throws<CheckpointException>(() => GgufQuantiser.Write(broken, _folder["x.gguf"], GgufMix.Q8_0)).Message;
        Assert.Contains("blk.1.ffn_up.weight: element [1, 1]", message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    private static GgufBytes Model(string arch) =>
        TinyGguf.Header(arch).Ends().LinearLayer(0).Projections(0).Matrix("blk.0.ssm_ba.weight", 8, 4).Experts(0).FullLayer(1).Experts(1);

    private Checkpoint Open(GgufBytes file)
    {
        File.WriteAllBytes(_folder["x.gguf"], file.ToArray());
        return Checkpoint.Open(_folder["x.gguf"]);
    }

    private void Refused(string because, GgufBytes file) =>
        Assert.Contains(because, Assert.Throws<CheckpointException>(() => Open(file)).Message, StringComparison.Ordinal);
}
