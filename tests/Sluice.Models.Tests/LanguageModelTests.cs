using System.Text.Json.Nodes;
using Sluice.Backends;
using Sluice.Backends.Reference;
using Sluice.Checkpoints;
using Sluice.Core;
using Sluice.Testing;

namespace Sluice.Models.Tests;

public sealed class LanguageModelTests
{
    private static readonly ModelOptions Small = new() { MaxStepTokens = 8, MaxLogitRows = 4, Pages = 2, Slots = 2 };

    [Fact]
    public void Everything_wrong_with_the_weights_is_said_at_once()
    {
        CheckpointBuilder built = new(Hybrid("qwen3_next"), seed: 1);
        built.Tensors.Remove("model.layers.1.linear_attn.in_proj_ba.weight");
        built.Tensors.Remove("model.layers.3.self_attn.k_norm.weight");
        built.Tensors["model.layers.0.mlp.experts.3.up_proj.weight"] = StoredTensor.BF16(new float[48 * 23], 23, 48);
        built.Tensors["model.layers.9.mlp.gate.weight"] = StoredTensor.BF16(new float[4], 2, 2);
        built.Tensors["model.norm.weight"] = StoredTensor.BF16(Enumerable.Repeat(float.NaN, 48).ToArray(), 48);
        built.Tensors["lm_head.weight"] = StoredTensor.I32(new int[96 * 48], 96, 48);
        using TemporaryFolder folder = new();
        built.Save(folder.Path);
        using Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        using ReferenceBackend backend = new();
        CheckpointException error = Assert.Throws<CheckpointException>(() => LanguageModel.Load(checkpoint, backend, Small));
        foreach (string part in new[] { "in_proj_ba", "k_norm", "expert", "layer 9", "norm", "lm_head" })
            Assert.Contains(error.Problems, problem => problem.Contains(part, StringComparison.OrdinalIgnoreCase));
        Assert.Equal(6, error.Problems.Count);
    }

    [Fact]
    public void Loading_reports_every_byte_and_stops_when_asked()
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.At("random", "next-moe"));
        using ReferenceBackend backend = new();
        List<LoadProgress> reports = [];
        using LanguageModel model = LanguageModel.Load(checkpoint, backend, Small, new Recorder(reports));
        Assert.Equal(reports[^1].TotalBytes, reports[^1].Bytes);
        Assert.True(reports[^1].TotalBytes > 700_000);
        Assert.Throws<OperationCanceledException>(() => LanguageModel.Load(checkpoint, backend, Small, cancellation: new CancellationToken(canceled: true)));
    }

    [Fact]
    public void The_store_may_be_closed_after_loading()
    {
        using ReferenceBackend backend = new();
        LanguageModel model;
        using (Checkpoint checkpoint = Checkpoint.Open(TestData.At("random", "qwen3-dense")))
            model = LanguageModel.Load(checkpoint, backend, Small);
        Assert.All(new Sequence(model).Run([1, 2, 3], 3), row => Assert.All(row, logit => Assert.True(float.IsFinite(logit))));
        Assert.False(model.HasMtpHead);
        model.Dispose();
    }

    [Theory]
    [InlineData("qwen3_next", false)]
    [InlineData("qwen3_next", true)]
    [InlineData("qwen3_5_text", false)]
    [InlineData("qwen3_5_moe_text", true)]
    [InlineData("qwen3_moe", false)]
    [InlineData("qwen3", true)]
    public void Made_up_weights_run(string modelType, bool fp8)
    {
        JsonObject config = Hybrid(modelType);
        if (fp8)
            config["quantization_config"] = new JsonObject { ["quant_method"] = "fp8", ["weight_block_size"] = new JsonArray(128, 128) };
        using DummyCheckpoint checkpoint = new(ModelConfigReader.Read(System.Text.Encoding.UTF8.GetBytes(config.ToJsonString())));
        using ReferenceBackend backend = new();
        using LanguageModel model = LanguageModel.Load(checkpoint, backend, Small);
        float[][] logits = new Sequence(model).Run([5, 4, 3, 2, 1], 4);
        Assert.All(logits, row => Assert.All(row, logit => Assert.InRange(Math.Abs(logit), 0, 100)));
        Assert.True(logits[4].Distinct().Count() > 50, "logits should differ");
    }

    [Theory]
    [InlineData("next-moe")]
    [InlineData("next-mixed-mlp")]
    [InlineData("qwen3-dense")]
    public void A_step_allocates_nothing(string name)
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.At("random", name));
        using CountingBackend backend = new();
        using LanguageModel model = LanguageModel.Load(checkpoint, backend, Small);
        StepBatch batch = new(8);
        int[] pages = [0, 1];
        batch.Add([1, 2, 3], 0, 0, pages, LogitsWanted.Last);
        batch.Add([4], 5, 1, pages, LogitsWanted.Last);
        float[] logits = new float[checkpoint.Config.VocabularySize];
        for (int i = 0; i < 3; i++)
            Step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        int calls = backend.Calls;
        Step();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.True(backend.Calls - calls > 10 * checkpoint.Config.LayerCount, "the step should have run");

        void Step()
        {
            model.Forward(batch);
            model.ReadLogits(0, logits);
        }
    }

    [Fact]
    public void Batches_that_reach_outside_the_model_are_refused()
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.At("random", "next-moe"));
        using CountingBackend backend = new();
        using LanguageModel model = LanguageModel.Load(checkpoint, backend, Small);
        StepBatch batch = new(64);
        Refused("1 to 8 tokens, found 0", () => { });
        Refused("1 to 8 tokens, found 9", () => batch.Add(new int[9], 0, 0, [0], LogitsWanted.None));
        Refused("at most 4 rows", () => batch.Add(new int[5], 0, 0, [0], LogitsWanted.All));
        Refused("token ids from 0 to 319, found 320", () => batch.Add([1, 320], 0, 0, [0], LogitsWanted.None));
        Refused("token ids from 0 to 319, found -1", () => batch.Add([-1], 0, 0, [0], LogitsWanted.None));
        int pages = model.Caches.Pages, slots = model.Caches.Slots;
        Refused($"slots from 0 to {slots - 1}, found {slots}", () => batch.Add([1], 0, slots, [0], LogitsWanted.None));
        Refused($"slots from 0 to {slots - 1}, found -1", () => batch.Add([1], 0, 0, [0], LogitsWanted.None, [new StateExport(1, -1)]));
        Refused($"pages from 0 to {pages - 1}, found {pages}", () => batch.Add([1], 16, 0, [0, pages], LogitsWanted.None));
        Refused("positions below 4096, found 4096", () => batch.Add([1], 4096, 0, new int[257], LogitsWanted.None));
        Assert.Equal(0, backend.Calls);

        batch.Clear();
        batch.Add([1, 2], 15, 0, [0, 1, 99], LogitsWanted.Last); // pages beyond the tokens do not matter
        model.Forward(batch);
        Assert.Throws<ArgumentOutOfRangeException>(() => model.ReadLogits(1, new float[320]));
        Assert.Throws<ArgumentOutOfRangeException>(() => model.ReadLogits(-1, new float[320]));

        void Refused(string message, Action fill)
        {
            batch.Clear();
            fill();
            ArgumentException error = Assert.Throws<ArgumentException>(() => model.Forward(batch));
            Assert.Contains(message, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Steps_that_want_no_logits_do_not_run_the_head()
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.At("random", "next-moe"));
        using CountingBackend backend = new();
        using LanguageModel model = LanguageModel.Load(checkpoint, backend, Small);
        StepBatch batch = new(8);
        batch.Add([1], 0, 0, [0], LogitsWanted.None);
        model.Forward(batch);
        Assert.Equal(0, backend.Heads);
        Assert.Throws<ArgumentOutOfRangeException>(() => model.ReadLogits(0, new float[320]));
        batch.Clear();
        batch.Add([1], 1, 0, [0], LogitsWanted.Last);
        model.Forward(batch);
        Assert.Equal(1, backend.Heads);
    }

    [Fact]
    public void The_observer_sees_every_layer_in_order()
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.At("random", "next-moe"));
        using CountingBackend backend = new();
        using LanguageModel model = LanguageModel.Load(checkpoint, backend, Small);
        List<(ModelPoint, int)> seen = [];
        model.Observer = (point, layer, _, _) => seen.Add((point, layer));
        StepBatch batch = new(8);
        batch.Add([1], 0, 0, [0], LogitsWanted.Last);
        model.Forward(batch);
        Assert.Equal(
            [(ModelPoint.Embedding, -1), (ModelPoint.Layer, 0), (ModelPoint.Layer, 1), (ModelPoint.Layer, 2), (ModelPoint.Layer, 3), (ModelPoint.FinalNorm, -1)],
            seen);
    }

    [Theory]
    [InlineData(0, 1, 1, 1, 0, "MaxStepTokens")]
    [InlineData(1, 0, 1, 1, 0, "MaxLogitRows")]
    [InlineData(1, 1, 0, 1, 0, "Pages")]
    [InlineData(1, 1, 1, 0, 0, "Slots")]
    [InlineData(1, 1, 1, 1, -1, "LoadWorkers")]
    public void Options_out_of_range_are_named(int step, int logits, int pages, int slots, int workers, string field)
    {
        ModelOptions options = new() { MaxStepTokens = step, MaxLogitRows = logits, Pages = pages, Slots = slots, LoadWorkers = workers };
        ConfigurationException error = Assert.Throws<ConfigurationException>(options.Validate);
        Assert.StartsWith(field + ": expected", error.Message, StringComparison.Ordinal);
    }

    private static JsonObject Hybrid(string modelType) =>
        CheckpointBuilder.WithExperts(CheckpointBuilder.WithDeltaNet(CheckpointBuilder.BaseConfig(modelType)));

    private sealed class Recorder(List<LoadProgress> reports) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value) => reports.Add(value);
    }
}
