using CsCheck;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests;

public sealed class DummyCheckpointTests
{
    [Fact]
    public void The_same_seed_makes_the_same_weights_and_another_does_not()
    {
        byte[] Make(ulong seed, string name)
        {
            using var dummy = new DummyCheckpoint(TinyModel.Config, seed);
            return Bytes(dummy, dummy.Find(name, [64, 64], DType.BF16)!);
        }

        Assert.Equal(Make(1, "a"), Make(1, "a"));
        Assert.NotEqual(Make(1, "a"), Make(2, "a"));
        Assert.NotEqual(Make(1, "a"), Make(1, "b"));
    }

    [Fact]
    public void Bytes_do_not_depend_on_how_they_are_read()
    {
        using var dummy = new DummyCheckpoint(TinyModel.Config with { Fp8Block = (128, 128) });
        foreach ((string name, DType type) in ((string, DType)[])[("a.weight", DType.BF16), ("b.weight", DType.F32), ("x.q_proj.weight", DType.BF16)])
        {
            TensorInfo tensor = dummy.Find(name, [33, 7], type)!;
            byte[] whole = Bytes(dummy, tensor);
            Gen.Select(Gen.Int[0, whole.Length], Gen.Int[0, whole.Length]).Sample(
                (a, b) =>
                {
                    int from = Math.Min(a, b);
                    int count = Math.Max(a, b) - from;
                    Assert.True(dummy.Bytes(tensor, from, count, new byte[count]).SequenceEqual(whole.AsSpan(from, count)));
                },
                iter: 2000, threads: 1);
        }
    }

    [Fact]
    public void Positions_beyond_4_GiB_of_words_are_fresh()
    {
        using var dummy = new DummyCheckpoint(TinyModel.Config);
        TensorInfo tensor = dummy.Find("huge", [1 << 20, 1 << 14], DType.BF16)!;
        const long Wrap = 1L << 34;
        byte[] first = dummy.Bytes(tensor, 0, 4096, new byte[4096]).ToArray();
        byte[] across = dummy.Bytes(tensor, Wrap - 2048, 4096, new byte[4096]).ToArray();
        byte[] beyond = dummy.Bytes(tensor, Wrap, 4096, new byte[4096]).ToArray();
        Assert.NotEqual(first, beyond);
        Assert.Equal(beyond[..2048], across[2048..]);
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.BF16)]
    [InlineData(DType.F16)]
    public void Matrices_have_a_standard_deviation_of_one_over_the_root_of_columns(DType type)
    {
        using var dummy = new DummyCheckpoint(TinyModel.Config);
        float[] values = Floats(dummy, dummy.Find("x.weight", [256, 1024], type)!);
        Assert.InRange(Math.Abs(values.Average(value => (double)value)), 0, 0.0005);
        double deviation = Math.Sqrt(values.Average(value => (double)value * value));
        Assert.InRange(deviation, 0.95 / 32, 1.05 / 32);
    }

    [Fact]
    public void Fp8_matrices_have_it_together_with_their_scales()
    {
        ModelConfig config = TinyModel.Config with { Fp8Block = (128, 128) };
        using var dummy = new DummyCheckpoint(config);
        var plan = new WeightPlan(dummy);
        MatrixSource matrix = plan.Matrix("model.layers.0.mlp.up_proj.weight", 256, 1024);
        plan.Validate();
        Assert.Equal((DType.F8E4M3, 128), (matrix.Type, matrix.ScaleBlock));
        double sum = 0;
        var scratch = new byte[1024];
        var scales = new float[8];
        for (int row = 0; row < 256; row++)
        {
            ReadOnlySpan<byte> stored = matrix.Row(row, scratch);
            matrix.RowScales(row, scales);
            for (int i = 0; i < 1024; i++)
            {
                Assert.NotEqual(0x7F, stored[i] & 0x7F);
                double value = Fp8(stored[i]) * scales[i / 128];
                sum += value * value;
            }
        }

        Assert.InRange(Math.Sqrt(sum / (256 * 1024)), 0.8 / 32, 1.2 / 32);
        Assert.Equal(DType.BF16, plan.Matrix("model.embed_tokens.weight", 4, 4).Type);
        Assert.Equal(DType.BF16, plan.Matrix("model.layers.0.mlp.gate.weight", 4, 4).Type);
    }

    [Fact]
    public void Norms_leave_activations_alone()
    {
        using var zeroCentred = new DummyCheckpoint(TinyModel.Config);
        var plan = new WeightPlan(zeroCentred);
        Assert.All(plan.Vector("model.layers.0.input_layernorm.weight", 500), value => Assert.InRange(value, -0.1f, 0.1f));
        Assert.All(plan.Vector("model.layers.0.linear_attn.norm.weight", 500), value => Assert.InRange(value, 0.9f, 1.1f));
        Assert.All(plan.Vector("model.layers.0.linear_attn.A_log", 500), value => Assert.InRange(value, 0.4f, 2.1f));
        Assert.All(plan.Vector("model.layers.0.self_attn.q_proj.bias", 500), value => Assert.InRange(value, -0.1f, 0.1f));

        using var plain = new DummyCheckpoint(TinyModel.Smallest);
        Assert.All(new WeightPlan(plain).Vector("model.norm.weight", 500), value => Assert.InRange(value, 0.9f, 1.1f));
    }

    [Fact]
    public void Optional_tensors_are_there_when_the_configuration_says_so()
    {
        using var dummy = new DummyCheckpoint(TinyModel.Config);
        Assert.True(dummy.Has("lm_head.weight"));
        Assert.True(dummy.Has("mtp.fc.weight"));
        Assert.False(dummy.Has("model.layers.0.self_attn.q_proj.bias"));
        Assert.False(dummy.Has("model.layers.0.mlp.experts.gate_up_proj"));
        using var other = new DummyCheckpoint(TinyModel.Smallest with { Attention = TinyModel.Smallest.Attention with { Bias = true } });
        Assert.False(other.Has("lm_head.weight"));
        Assert.False(other.Has("mtp.fc.weight"));
        Assert.True(other.Has("model.layers.0.self_attn.q_proj.bias"));
    }

    private static byte[] Bytes(DummyCheckpoint dummy, TensorInfo tensor) =>
        dummy.Bytes(tensor, 0, (int)tensor.ByteLength, new byte[tensor.ByteLength]).ToArray();

    private static float[] Floats(DummyCheckpoint dummy, TensorInfo tensor)
    {
        byte[] bytes = Bytes(dummy, tensor);
        float[] values = new float[bytes.Length / tensor.Type.Size()];
        Checkpoints.Floats.Widen(tensor.Type, bytes, values);
        return values;
    }

    private static double Fp8(byte bits)
    {
        int exponent = (bits >> 3) & 15;
        double magnitude = exponent == 0 ? (bits & 7) / 8.0 / 64 : (1 + ((bits & 7) / 8.0)) * Math.Pow(2, exponent - 7);
        return (bits & 0x80) != 0 ? -magnitude : magnitude;
    }
}
