using System.Text.Json.Nodes;
using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Core;
using Sluice.Models;
using Sluice.Testing;

namespace Sluice.Tests.Golden;

/// <summary>
/// What the reference checkpoints lack: other shapes, storage and packings, made here and compared with an independent forward pass in
/// float64, which the reference checkpoints in turn confirm.
/// </summary>
public sealed class ConstructedCheckpointTests(ITestOutputHelper output)
{
    private const int Tokens = 50;
    private const double Tolerance = 1e-3;

    private static readonly Dictionary<string, Func<JsonObject>> Configurations = new()
    {
        ["qwen3_moe"] = () => Experts("qwen3_moe"),
        ["qwen3_moe, weights of the top k as they are"] = () => Set(Experts("qwen3_moe"), "norm_topk_prob", false),
        ["qwen3_moe, every second layer sparse, one of those dense"] = () => Set(
            Set(Experts("qwen3_moe"), "decoder_sparse_step", 2), "mlp_only_layers", new JsonArray(3)),
        ["qwen3, tied, biases"] = () => Set(
            Set(CheckpointBuilder.BaseConfig("qwen3"), "tie_word_embeddings", true), "attention_bias", true),
        ["qwen3_next, tied, not normalised, attention first"] = () => Set(
            Set(Set(Hybrid("qwen3_next"), "tie_word_embeddings", true), "norm_topk_prob", false),
            "layer_types", new JsonArray("full_attention", "linear_attention", "linear_attention", "full_attention")),
        ["qwen3_next, three value heads to a key head, unlike widths, three taps, half rotary"] = () => Set(
            Set(Experts(CheckpointBuilder.WithDeltaNet(CheckpointBuilder.BaseConfig("qwen3_next"), 2, 6, 8, 12, 3)), "partial_rotary_factor", 0.5),
            "rope_theta", 1e7),
        ["qwen3_next, float32, linear attention only, dense"] = () => Set(
            Set(Set(Hybrid("qwen3_next"), "dtype", "float32"), "full_attention_interval", 5), "num_experts", 0),
        ["qwen3_5, float16, biases"] = () => Set(Set(Hybrid("qwen3_5_text"), "dtype", "float16"), "attention_bias", true),
        ["qwen3_5_moe, FP8, sizes no block divides"] = () => Fp8(Set(Hybrid("qwen3_5_moe_text"), "hidden_size", 56), 32, 32),
        ["qwen3_next, FP8, blocks larger than matrices"] = () => Fp8(Hybrid("qwen3_next"), 128, 128),
        ["qwen3_next, FP8, oblong blocks"] = () => Fp8(Hybrid("qwen3_next"), 16, 20),
    };

    public static TheoryData<string, string> Cases()
    {
        TheoryData<string, string> cases = [];
        foreach (string backend in GoldenBackends.Names)
        {
            foreach (string name in Configurations.Keys)
                cases.Add(backend, name);
        }

        return cases;
    }

    public static TheoryData<string> Backends => GoldenBackends.All;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Logits_agree_with_a_forward_pass_in_float64(string backend, string name)
    {
        CheckpointBuilder built = new(Configurations[name](), seed: name.Length);
        using TemporaryFolder folder = new();
        built.Save(folder.Path);
        int[] ids = Ids(built.Config);
        float[][] found = Run(backend, folder.Path, ids, chunk: 23);
        double error = RelativeError(new Float64Forward(built.Config, built.Tensors).Logits(ids), found);
        output.WriteLine($"{error:e2} of the logits' standard deviation");
        Assert.InRange(error, 0, Tolerance);
    }

    [Theory]
    [InlineData("next-moe")]
    [InlineData("next-mixed-mlp")]
    [InlineData("qwen35-dense")]
    [InlineData("qwen35-moe")]
    [InlineData("qwen3-dense")]
    public void The_forward_pass_in_float64_agrees_with_transformers(string name)
    {
        string folder = TestData.At("random", name);
        ModelConfig config = ModelConfigReader.Read(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        Dictionary<string, StoredTensor> expected = TensorFile.Read(Path.Combine(folder, "expected.safetensors"));
        int[] ids = expected["input_ids"].Integers()[..Tokens];
        double[][] logits = new Float64Forward(config, TensorFile.Read(Path.Combine(folder, "model.safetensors"))).Logits(ids);
        float[][] theirs = [.. expected["logits"].Floats().Chunk(config.VocabularySize).Take(Tokens)];
        Assert.InRange(RelativeError(logits, theirs), 0, Tolerance);
    }

    /// <summary>The same weights, packed as Qwen3-Next packs them by key head and as Qwen3.5 packs them apart, are the same to the last bit.</summary>
    [Theory]
    [MemberData(nameof(Backends))]
    public void Both_packings_of_linear_attention_are_one(string backend)
    {
        JsonObject config = Experts(CheckpointBuilder.WithDeltaNet(CheckpointBuilder.BaseConfig("qwen3_next"), 3, 6, 8, 12));
        CheckpointBuilder byKeyHead = new(config, seed: 3);
        using TemporaryFolder next = new();
        using TemporaryFolder apart = new();
        byKeyHead.Save(next.Path);

        Dictionary<string, StoredTensor> tensors = [];
        foreach ((string name, StoredTensor tensor) in byKeyHead.Tensors)
        {
            // Per key head: 8 rows of q, 8 of k, 2 x 12 of v, 2 x 12 of z; and 2 of b, 2 of a.
            if (name.EndsWith("in_proj_qkvz.weight", StringComparison.Ordinal))
            {
                tensors.Add(name.Replace("qkvz", "qkv"), Rows(tensor, 64, (0, 8), (8, 8), (16, 24)));
                tensors.Add(name.Replace("qkvz", "z"), Rows(tensor, 64, (40, 24)));
            }
            else if (name.EndsWith("in_proj_ba.weight", StringComparison.Ordinal))
            {
                tensors.Add(name.Replace("_ba", "_b"), Rows(tensor, 4, (0, 2)));
                tensors.Add(name.Replace("_ba", "_a"), Rows(tensor, 4, (2, 2)));
            }
            else
            {
                tensors.Add(name, tensor);
            }
        }

        JsonObject renamed = (JsonObject)config.DeepClone();
        renamed["model_type"] = "qwen3_5_moe_text";
        File.WriteAllText(apart.At("config.json"), renamed.ToJsonString());
        TensorFile.Write(apart.At("model.safetensors"), tensors);
        int[] ids = Ids(byKeyHead.Config);
        Assert.Equal(Run(backend, next.Path, ids, 20), Run(backend, apart.Path, ids, 20));
    }

    /// <summary>
    /// A multi-modal checkpoint nests the text model and adds a vision tower and a prediction head; it computes what its text
    /// model computes alone.
    /// </summary>
    [Theory]
    [MemberData(nameof(Backends))]
    public void The_text_model_of_a_multimodal_checkpoint_is_itself(string backend)
    {
        CheckpointBuilder text = new(Hybrid("qwen3_5_moe_text"), seed: 8);
        using TemporaryFolder alone = new();
        using TemporaryFolder nested = new();
        text.Save(alone.Path);
        Dictionary<string, StoredTensor> tensors = text.Tensors.ToDictionary(
            t => t.Key.StartsWith("model.", StringComparison.Ordinal) ? "model.language_model." + t.Key["model.".Length..] : t.Key, t => t.Value);
        tensors.Add("model.visual.patch_embed.proj.weight", StoredTensor.BF16(new float[12], 3, 4));
        tensors.Add("mtp.fc.weight", StoredTensor.BF16(new float[8], 2, 4));
        JsonObject config = new()
        {
            ["model_type"] = "qwen3_5_moe",
            ["text_config"] = text.Json.DeepClone(),
            ["vision_config"] = new JsonObject { ["hidden_size"] = 4 },
            ["tie_word_embeddings"] = false,
        };
        File.WriteAllText(nested.At("config.json"), config.ToJsonString());
        TensorFile.Write(nested.At("model.safetensors"), tensors);

        int[] ids = Ids(text.Config);
        Assert.Equal(Run(backend, alone.Path, ids, 50), Run(backend, nested.Path, ids, 50));
        using Checkpoint checkpoint = Checkpoint.Open(nested.Path);
        using IBackend device = GoldenBackends.Create(backend);
        using LanguageModel model = LanguageModel.Load(checkpoint, device, new ModelOptions { MaxStepTokens = 1, Pages = 1, Slots = 1 });
        Assert.True(model.HasMtpHead);
        Assert.Equal("model.language_model.", model.Config.WeightPrefix);
    }

    /// <summary>Experts stacked in one tensor, as BF16 checkpoints of Qwen3.5 have them, are the experts one by one.</summary>
    [Theory]
    [MemberData(nameof(Backends))]
    public void Stacked_experts_are_the_same_experts(string backend)
    {
        CheckpointBuilder single = new(Hybrid("qwen3_5_moe_text"), seed: 6);
        using TemporaryFolder one = new();
        using TemporaryFolder all = new();
        single.Save(one.Path);
        Dictionary<string, StoredTensor> tensors = single.Tensors
            .Where(t => !t.Key.Contains(".experts.", StringComparison.Ordinal)).ToDictionary(t => t.Key, t => t.Value);
        MoeConfig moe = single.Config.Moe!;
        for (int layer = 0; layer < single.Config.LayerCount; layer++)
        {
            string name = $"model.layers.{layer}.mlp.experts.";
            byte[] gateUp = [.. Each(e => [.. Bytes($"{name}{e}.gate_proj"), .. Bytes($"{name}{e}.up_proj")])];
            byte[] down = [.. Each(e => Bytes($"{name}{e}.down_proj"))];
            tensors.Add(name + "gate_up_proj", new StoredTensor(DType.BF16, [moe.Experts, 2 * moe.IntermediateSize, single.Config.HiddenSize], gateUp));
            tensors.Add(name + "down_proj", new StoredTensor(DType.BF16, [moe.Experts, single.Config.HiddenSize, moe.IntermediateSize], down));
        }

        File.WriteAllText(all.At("config.json"), single.Json.ToJsonString());
        TensorFile.Write(all.At("model.safetensors"), tensors);
        int[] ids = Ids(single.Config);
        Assert.Equal(Run(backend, one.Path, ids, 50), Run(backend, all.Path, ids, 50));

        IEnumerable<byte> Each(Func<int, byte[]> expert) => Enumerable.Range(0, moe.Experts).SelectMany(expert);

        byte[] Bytes(string name) => single.Tensors[name + ".weight"].Bytes;
    }

    /// <summary>Some tied checkpoints store the head a second time; it is the embedding that counts, and the copy is no surplus.</summary>
    [Theory]
    [MemberData(nameof(Backends))]
    public void A_stored_copy_of_a_tied_head_changes_nothing(string backend)
    {
        CheckpointBuilder built = new(Set(CheckpointBuilder.BaseConfig("qwen3"), "tie_word_embeddings", true), seed: 4);
        using TemporaryFolder without = new();
        using TemporaryFolder with = new();
        built.Save(without.Path);
        built.Tensors.Add("lm_head.weight", built.Tensors["model.embed_tokens.weight"]);
        built.Save(with.Path);
        int[] ids = Ids(built.Config);
        Assert.Equal(Run(backend, without.Path, ids, 50), Run(backend, with.Path, ids, 50));
    }

    private static JsonObject Set(JsonObject config, string field, JsonNode value)
    {
        config[field] = value;
        return config;
    }

    private static JsonObject Experts(string modelType) => CheckpointBuilder.WithExperts(CheckpointBuilder.BaseConfig(modelType));

    private static JsonObject Experts(JsonObject config) => CheckpointBuilder.WithExperts(config);

    private static JsonObject Hybrid(string modelType) => Experts(CheckpointBuilder.WithDeltaNet(CheckpointBuilder.BaseConfig(modelType)));

    private static JsonObject Fp8(JsonObject config, int rows, int columns) => Set(
        config, "quantization_config",
        new JsonObject { ["quant_method"] = "fp8", ["fmt"] = "e4m3", ["weight_block_size"] = new JsonArray(rows, columns) });

    private static int[] Ids(ModelConfig config)
    {
        Random random = new(1);
        return [.. Enumerable.Range(0, Tokens).Select(_ => random.Next(config.VocabularySize))];
    }

    private static float[][] Run(string backend, string folder, int[] ids, int chunk)
    {
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        using IBackend device = GoldenBackends.Create(backend);
        using LanguageModel model = LanguageModel.Load(
            checkpoint, device, new ModelOptions { MaxStepTokens = chunk, MaxLogitRows = chunk, Pages = 4, Slots = 1 });
        return new Sequence(model).Run(ids, chunk);
    }

    /// <summary>The largest difference, in standard deviations of the expected logits.</summary>
    private static double RelativeError(double[][] expected, float[][] found)
    {
        double[] all = [.. expected.SelectMany(row => row)];
        double mean = all.Average();
        double deviation = Math.Sqrt(all.Average(value => (value - mean) * (value - mean)));
        double largest = all.Zip(found.SelectMany(row => row), (a, b) => double.IsNaN(b) ? double.PositiveInfinity : Math.Abs(a - b)).Max();
        return largest / deviation;
    }

    /// <summary>
    /// Of rows in groups of <paramref name="group"/>, the ranges of each group: all groups' first range, then all groups' second.
    /// </summary>
    private static StoredTensor Rows(StoredTensor tensor, int group, params (int Start, int Count)[] ranges)
    {
        int groups = (int)tensor.Shape[0] / group;
        int rowBytes = tensor.Bytes.Length / (int)tensor.Shape[0];
        byte[] bytes = [.. ranges.SelectMany(range => Enumerable.Range(0, groups).SelectMany(
            g => tensor.Bytes.Skip(((g * group) + range.Start) * rowBytes).Take(range.Count * rowBytes)))];
        return new StoredTensor(tensor.Type, [bytes.Length / rowBytes, tensor.Shape[1]], bytes);
    }
}
