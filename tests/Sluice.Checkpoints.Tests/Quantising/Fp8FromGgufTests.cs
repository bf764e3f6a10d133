using System.Text.Json.Nodes;
using Sluice.Checkpoints.Quantising;
using Sluice.Checkpoints.Tests.Gguf;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests.Quantising;

/// <summary>FP8 folders made of GGUF files hold what those made of the folders hold that the files came from.</summary>
public sealed class Fp8FromGgufTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> RandomCheckpoints => [.. TestData.RandomCheckpoints];

    public void Dispose() => _folder.Dispose();

    /// <summary>Names, orders of heads, values, types: all that a file changes goes back, to the bit where it changes no bits of the weights.</summary>
    [Theory]
    [MemberData(nameof(RandomCheckpoints))]
    public void By_way_of_a_file_in_BF16_nothing_changes(string name)
    {
        using (Checkpoint source = Checkpoint.Open(TestData.RandomCheckpoint(name)))
        {
            Fp8Quantiser.Quantise(source, _folder["direct"]);
            GgufQuantiser.Write(source, _folder["x.gguf"], GgufMix.BF16, predictionHead: true);
        }

        ModelConfig inFile;
        using (Checkpoint file = Checkpoint.Open(_folder["x.gguf"]))
        {
            inFile = file.Config;
            Fp8Quantiser.Quantise(file, _folder["back"]);
        }

        Assert.Equal(File.ReadAllBytes(Path.Combine(_folder["direct"], "model.safetensors")), File.ReadAllBytes(Path.Combine(_folder["back"], "model.safetensors")));
        using Checkpoint direct = Checkpoint.Open(_folder["direct"]);
        using Checkpoint back = Checkpoint.Open(_folder["back"]);
        Assert.Equivalent(inFile with { Fp8Block = (128, 128) }, back.Config, strict: true);

        // config.json need not say how many ends and predicted layers there are; a file's metadata do.
        Assert.Equivalent(direct.Config, back.Config with { EndOfText = direct.Config.EndOfText, MtpLayers = direct.Config.MtpLayers }, strict: true);
        Assert.Equal(Kept(_folder["direct"]), Kept(_folder["back"]));
    }

    /// <summary>What is replaced goes, shards too, but for what they are not known to be.</summary>
    [Fact]
    public void A_checkpoint_in_shards_is_replaced_whole()
    {
        using Checkpoint source = Checkpoint.Open(TestData.RandomCheckpoint("next-moe"));
        string folder = _folder["nested/deeply/replaced"];
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), """{"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}""");
        foreach (string name in (string[])["model-1-of-2.safetensors", "model-2-of-2.safetensors", "notes.txt"])
            File.WriteAllText(Path.Combine(folder, name), "x");
        Fp8Quantiser.Quantise(source, folder);
        Assert.Equal(["config.json", "generation_config.json", "model.safetensors", "notes.txt"], Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName).Order());
    }

    /// <summary>Against numbers written down by hand: rows of each key head together, where files have b, a, and what the projections give, apart.</summary>
    [Fact]
    public void What_files_have_apart_goes_together()
    {
        using Checkpoint file = Open(TinyGguf.Header("qwen3next").Ends().LinearLayer(0).Projections(0).Matrix("blk.0.ssm_ba.weight", 8, 4).Experts(0).FullLayer(1).Experts(1, fused: true));
        List<AssembledTensor> tensors = HuggingFaceTensors.Of(file);
        Assert.DoesNotContain(tensors, tensor => tensor.Name.Contains("in_proj_qkv.", StringComparison.Ordinal) || tensor.Name.Contains("in_proj_z", StringComparison.Ordinal));

        // Per key head: q 2, k 2, v 4 out of attn_qkv (q 0.., k 4.., v 8..), z 4 out of attn_gate.
        AssembledTensor all = tensors.Single(tensor => tensor.Name == "model.layers.0.linear_attn.in_proj_qkvz.weight");
        Assert.Equal([24, 4], all.Shape);
        int[] expected = [0, 1, 4, 5, 8, 9, 10, 11, 0, 1, 2, 3, 2, 3, 6, 7, 12, 13, 14, 15, 4, 5, 6, 7];
        Assert.Equal(expected.Select(row => 10f * row), FirstColumn(all));
        AssembledTensor gates = tensors.Single(tensor => tensor.Name == "model.layers.0.linear_attn.in_proj_ba.weight");
        Assert.Equal(Enumerable.Range(0, 8).Select(row => 10f * row), FirstColumn(gates));
        Assert.Equal([16, 1, 2], tensors.Single(tensor => tensor.Name == "model.layers.0.linear_attn.conv1d.weight").Shape);
        Assert.Equal([30f, 40f, 50f], FirstColumn(tensors.Single(tensor => tensor.Name == "model.layers.1.mlp.experts.0.up_proj.weight")));
        Assert.Equal([0f, 1f, 2f, 3f], tensors.Single(tensor => tensor.Name == "model.layers.0.input_layernorm.weight").Numbers!);
    }

    /// <summary>Numbers widened to float32 by a file go back to the type of the weights only where that loses nothing.</summary>
    [Fact]
    public void Types_that_only_files_need_go()
    {
        float[] rough = [1f + (1f / 128), -0.5f, 0.0078125f, 3f];
        float[] fine = [1.0001f, 0.3333333f, 0f, 0f];
        Assert.Equal(DType.BF16, HuggingFaceTensors.TypeOf(new AssembledTensor("norm", [4], rough, []), DType.BF16));
        Assert.Equal(DType.F32, HuggingFaceTensors.TypeOf(new AssembledTensor("norm", [4], fine, []), DType.BF16));
        Assert.Equal(DType.F32, HuggingFaceTensors.TypeOf(new AssembledTensor("norm", [4], rough, []), DType.F32));

        // What adding 1 and taking it away again rounds off is no reason to keep float32.
        Assert.Equal(DType.BF16, HuggingFaceTensors.TypeOf(new AssembledTensor("norm", [3], [.. new[] { 1e-3f, -3.3e-4f, 7e-6f }.Select(value => StoredNumbers.FromBF16(StoredNumbers.ToBF16(value)) + 1f - 1f)], []), DType.BF16));
        Assert.Equal(DType.BF16, HuggingFaceTensors.TypeOf(new AssembledTensor("A_log", [1], [MathF.Log(MathF.Exp(1.3125f))], []), DType.BF16));

        using Checkpoint file = Open(TinyGguf.Header("qwen3next").Ends().LinearLayer(0).Projections(0).Matrix("blk.0.ssm_ba.weight", 8, 4).Experts(0).FullLayer(1).Experts(1));
        AssembledTensor router = HuggingFaceTensors.Of(file).Single(tensor => tensor.Name == "model.layers.0.mlp.gate.weight");
        Assert.Equal(DType.BF16, HuggingFaceTensors.TypeOf(router, DType.BF16)); // small whole numbers
        Assert.Equal(DType.F32, HuggingFaceTensors.TypeOf(router with { Parts = [new Thirds()] }, DType.BF16));
    }

    [Fact]
    public void Suggestions_for_sampling_come_along()
    {
        GgufBytes file = Whole("qwen3next").Value("general.sampling.temp", 0.7f).Value("general.sampling.top_k", 20u).Value("general.sampling.top_p", 0.8f)
            .Value("tokenizer.ggml.eos_token_id", 2u);
        using (Checkpoint source = Open(file))
            Fp8Quantiser.Quantise(source, _folder["fp8"]);
        using (Checkpoint made = Checkpoint.Open(_folder["fp8"]))
            Assert.Equivalent(new GenerationDefaults { DoSample = true, Temperature = 0.7f, TopK = 20, TopP = 0.8f, EndOfText = [2] }, made.Generation, strict: true);

        // A file without suggestions takes away those of a checkpoint that is replaced, and its template; the rest of the folder is not touched.
        File.WriteAllText(Path.Combine(_folder["fp8"], "chat_template.jinja"), "old");
        File.WriteAllText(Path.Combine(_folder["fp8"], "README.md"), "mine");
        using (Checkpoint source = Open(Whole("qwen3next")))
            Fp8Quantiser.Quantise(source, _folder["fp8"], new Dictionary<string, byte[]> { ["tokenizer.json"] = [1, 2] });
        Assert.Equal(
            ["README.md", "config.json", "model.safetensors", "tokenizer.json"],
            Directory.GetFiles(_folder["fp8"]).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal([1, 2], File.ReadAllBytes(Path.Combine(_folder["fp8"], "tokenizer.json")));
    }

    /// <summary>Before anything is written.</summary>
    [Fact]
    public void What_no_folder_can_say_is_refused()
    {
        // qwen35moe has no dense layers in any config.json, qwen35 no experts; unknown tensors would be lost; a tensor is missing.
        GgufBytes Linear(string arch) => TinyGguf.Header(arch).Ends().LinearLayer(0).Projections(0).Matrix("blk.0.ssm_beta.weight", 4, 4).Matrix("blk.0.ssm_alpha.weight", 4, 4).FullLayer(1);
        Refused<ConfigurationException>("qwen3_5_moe has no dense layers", Linear("qwen35moe").Experts(0).Mlp(1));
        Refused<ConfigurationException>("no config.json describes", Linear("qwen35").Experts(0).Mlp(1));
        Refused<CheckpointException>("blk.1.mystery.weight: is in the checkpoint but not in the model", Whole("qwen3next").Matrix("blk.1.mystery.weight", 2, 2));
        Refused<CheckpointException>("layer 1, mlp.gate.weight: is missing", TinyGguf.Header("qwen3next").Ends().LinearLayer(0).Projections(0).Matrix("blk.0.ssm_ba.weight", 8, 4).Experts(0).FullLayer(1)
            .Stack("blk.1.ffn_gate_exps.weight", 2, 3, 4));
    }

    private static GgufBytes Whole(string arch) =>
        TinyGguf.Header(arch).Ends().LinearLayer(0).Projections(0).Matrix("blk.0.ssm_ba.weight", 8, 4).Experts(0).FullLayer(1).Experts(1);

    private void Refused<TException>(string because, GgufBytes file)
        where TException : SluiceException
    {
        using Checkpoint source = Open(file);
        TException error = Assert.Throws<TException>(() => Fp8Quantiser.Quantise(source, _folder["fp8"]));
        Assert.Contains(because, string.Join('\n', [error.Message, .. (error as CheckpointException)?.Problems ?? []]), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder["fp8"]));
    }

    private static string Kept(string folder) =>
        JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!["quantization_config"]!.ToJsonString();

    private static float[] FirstColumn(AssembledTensor tensor)
    {
        float[] row = new float[tensor.Columns];
        return [.. Enumerable.Range(0, tensor.Rows).Select(r =>
        {
            tensor.Decode(r, row, new byte[tensor.ScratchBytes]);
            return row[0];
        })];
    }

    private Checkpoint Open(GgufBytes file)
    {
        File.WriteAllBytes(_folder["model.gguf"], file.ToArray());
        return Checkpoint.Open(_folder["model.gguf"]);
    }

    /// <summary>Numbers that only float32 holds.</summary>
    private sealed class Thirds() : MatrixSource("thirds", DType.F32, 2, 4)
    {
        public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch)
        {
            Floats.Narrow(DType.F32, [1f / 3, 1f, 2f, 3f], scratch[..RowBytes]);
            return scratch[..RowBytes];
        }
    }
}
