using Sluice.Checkpoints;
using Sluice.Checkpoints.Quantising;
using Sluice.Core;
using Sluice.Testing;

namespace Sluice.Models.Tests;

public sealed class Fp8QuantiserTests
{
    [Fact]
    public void Elements_are_the_nearest_multiples_of_their_blocks_scale()
    {
        using TemporaryFolder from = new();
        using TemporaryFolder to = new();

        // 200 columns: a block and a part of one. One block of a matrix is all zeros.
        CheckpointBuilder built = new(Wide(), seed: 2);
        const string Name = "model.layers.0.mlp.gate_proj.weight";
        built.Tensors[Name].Bytes.AsSpan(0, 40 * 200 * 2).Clear();
        built.Save(from.Path);
        using (Checkpoint checkpoint = Checkpoint.Open(from.Path))
            Fp8Quantiser.Quantise(checkpoint, to.Path);
        Dictionary<string, StoredTensor> quantised = TensorFile.Read(to.At("model.safetensors"));

        foreach ((string name, StoredTensor tensor) in built.Tensors)
        {
            StoredTensor stored = quantised[name];
            bool projection = name.EndsWith("_proj.weight", StringComparison.Ordinal);
            Assert.Equal(projection ? DType.F8E4M3 : tensor.Type, stored.Type);
            if (!projection)
            {
                Assert.Equal(tensor.Bytes, stored.Bytes);
                continue;
            }

            float[] weights = tensor.Floats();
            float[] elements = stored.Floats();
            float[] scales = quantised[name + "_scale_inv"].Floats();
            int columns = (int)tensor.Shape[1];
            int blocks = (columns + 127) / 128;
            Assert.Equal([(tensor.Shape[0] + 127) / 128, blocks], quantised[name + "_scale_inv"].Shape);
            for (int i = 0; i < weights.Length; i++)
            {
                double scale = scales[(i / columns / 128 * blocks) + (i % columns / 128)];
                Assert.InRange(Math.Abs(weights[i]) / scale, 0, 448.001);

                // Three mantissa bits: half a step is a sixteenth of the value, or 2^-10 among subnormals.
                double halfStep = Math.Max(Math.Abs(elements[i]) / 16, Math.ScaleB(1, -10)) * scale * 1.0001;
                Assert.InRange((elements[i] * scale) - weights[i], -halfStep, halfStep);
            }
        }

        Assert.True(quantised[Name].Floats().Take(40 * 200).All(value => value == 0));
        using Checkpoint copy = Checkpoint.Open(to.Path);
        Assert.Equal((128, 128), copy.Config.Fp8Block);
    }

    [Fact]
    public void What_is_FP8_already_or_not_finite_is_refused()
    {
        using TemporaryFolder from = new();
        using TemporaryFolder to = new();
        CheckpointBuilder built = new(Wide(), seed: 2);
        built.Tensors["model.layers.0.mlp.up_proj.weight"].Bytes.AsSpan(200 * 2 * 3, 2).Fill(0xFF);
        built.Save(from.Path);
        using Checkpoint broken = Checkpoint.Open(from.Path);
        CheckpointException error = Assert.Throws<CheckpointException>(() => Fp8Quantiser.Quantise(broken, to.Path));
        Assert.Contains("model.layers.0.mlp.up_proj.weight: element [3, 0] is NaN", error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(to.Path, "model*"));

        using TemporaryFolder again = new();
        using (Checkpoint demo = Checkpoint.Open(TestData.DemoModel))
            Fp8Quantiser.Quantise(demo, again.Path);
        using Checkpoint quantised = Checkpoint.Open(again.Path);
        Assert.Throws<CheckpointException>(() => Fp8Quantiser.Quantise(quantised, to.Path));
    }

    private static System.Text.Json.Nodes.JsonObject Wide()
    {
        System.Text.Json.Nodes.JsonObject config = CheckpointBuilder.BaseConfig("qwen3");
        config["hidden_size"] = 200;
        config["num_hidden_layers"] = 1;
        return config;
    }
}
