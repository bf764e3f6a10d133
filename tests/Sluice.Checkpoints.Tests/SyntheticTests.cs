using Sluice.Core;

namespace Sluice.Checkpoints.Tests;

public sealed class SyntheticTests
{
    public static TheoryData<string> Random => [.. TestData.RandomCheckpoints];

    [Theory]
    [MemberData(nameof(Random))]
    public void The_catalogue_lists_what_real_checkpoints_hold(string name)
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.RandomCheckpoint(name));
        AssertSame(checkpoint, checkpoint.Config);
    }

    [Fact]
    public void The_catalogue_knows_the_prediction_head()
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.Demo);
        AssertSame(checkpoint, checkpoint.Config with { MtpLayers = 1 });
    }

    [Fact]
    public void The_catalogue_knows_what_fp8_quantises()
    {
        ModelConfig config = TinyModel.Config with { Fp8Block = (128, 128) };
        TensorDeclaration[] tensors = [.. ModelTensors.Of(config)];
        string[] quantised = [.. tensors.Where(tensor => tensor.Type == DType.F8E4M3).Select(tensor => tensor.Name)];
        Assert.Contains("model.layers.0.linear_attn.in_proj_qkvz.weight", quantised);
        Assert.Contains("model.layers.1.mlp.experts.1.down_proj.weight", quantised);
        Assert.Contains("mtp.layers.0.self_attn.q_proj.weight", quantised);
        Assert.DoesNotContain(quantised, name => name.Contains("embed", StringComparison.Ordinal) || name.Contains("in_proj_ba", StringComparison.Ordinal)
            || name.EndsWith("gate.weight", StringComparison.Ordinal) || name.Contains("norm", StringComparison.Ordinal) || name == "lm_head.weight" || name == "mtp.fc.weight");
        Assert.Equal(quantised.Select(name => name + "_scale_inv"), tensors.Where(tensor => tensor.Type == DType.F32).Select(tensor => tensor.Name));
    }

    [Fact]
    public void A_synthetic_checkpoint_is_a_checkpoint()
    {
        using var folder = new TemporaryFolder();
        ModelConfig config = TinyModel.Config with { Fp8Block = (128, 128) };
        long bytes = SyntheticCheckpoint.Write(folder.Path, config, seed: 5, shardBytes: 1000);
        using Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        Assert.True(checkpoint.Files.Count > 2);
        Assert.Equivalent(config, checkpoint.Config, strict: true);
        Assert.Equal(bytes, checkpoint.Tensors.Sum(tensor => tensor.ByteLength));
        AssertSame(checkpoint, config);

        // The same bytes as dummy weights make up.
        using var dummy = new DummyCheckpoint(config, seed: 5);
        foreach (TensorInfo tensor in checkpoint.Tensors)
        {
            byte[] made = new byte[tensor.ByteLength];
            dummy.Bytes(tensor, 0, made.Length, made);
            Assert.True(checkpoint.Bytes(tensor, 0, made.Length, []).SequenceEqual(made), tensor.Name);
        }
    }

    [Theory]
    [InlineData(1L << 20)]
    [InlineData(2L << 30)]
    [InlineData(20L << 30)]
    public void A_size_is_met_within_a_layer(long bytes)
    {
        ModelConfig config = SyntheticCheckpoint.ConfigOfSize(bytes);
        long size = ModelTensors.Of(config).Sum(tensor => tensor.ByteLength);
        if (config.LayerCount > 1)
            Assert.InRange(size, bytes - (500L << 20), bytes + (500L << 20));
        ModelConfigReader.Read(ModelConfigWriter.Write(config));
    }

    [Fact]
    public void Loading_can_be_measured()
    {
        using var folder = new TemporaryFolder();
        long bytes = SyntheticCheckpoint.Write(folder.Path, TinyModel.Config with { HiddenSize = 256, VocabularySize = 4000 }, shardBytes: 1 << 20);
        foreach (bool cold in (bool[])[true, false])
        {
            LoadMeasurement measured = LoadBenchmark.Run(folder.Path, workers: 2, cold, cancellation: TestContext.Current.CancellationToken);
            Assert.Equal((2, bytes), (measured.Workers, measured.Bytes));
            Assert.Equal(cold && OperatingSystem.IsLinux(), measured.Cold);
            Assert.InRange(measured.FractionOfCopy, 1e-6, 10);
        }

        Assert.DoesNotContain(Memory.Arena.Outstanding, arena => arena.Name.EndsWith("benchmark", StringComparison.Ordinal));
    }

    private static void AssertSame(Checkpoint checkpoint, ModelConfig config)
    {
        static string Line(string name, DType type, IReadOnlyList<int> shape) => $"{name} {type} [{string.Join(", ", shape)}]";
        Assert.Equal(
            checkpoint.Tensors.Select(tensor => Line(tensor.Name, tensor.Type, tensor.Shape)).Order(StringComparer.Ordinal),
            ModelTensors.Of(config).Select(tensor => Line(tensor.Name, tensor.Type, tensor.Shape)).Order(StringComparer.Ordinal));
    }
}
