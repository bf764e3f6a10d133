using System.Text;
using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Checkpoints.Quantising;
using Sluice.Core;
using Sluice.Testing;

namespace Sluice.Models.Tests;

public sealed class ModelFootprintTests
{
    private const long MiB = 1 << 20;

    /// <summary>Qwen3-Next-80B-A3B as published.</summary>
    internal static readonly ModelConfig Next80B = ModelConfigReader.Read(Encoding.UTF8.GetBytes(
        """
        {
          "model_type": "qwen3_next", "torch_dtype": "bfloat16", "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 5120,
          "num_hidden_layers": 48, "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256, "max_position_embeddings": 262144,
          "rms_norm_eps": 1e-6, "rope_theta": 10000000, "partial_rotary_factor": 0.25, "full_attention_interval": 4,
          "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
          "linear_conv_kernel_dim": 4, "num_experts": 512, "num_experts_per_tok": 10, "moe_intermediate_size": 512,
          "shared_expert_intermediate_size": 512, "tie_word_embeddings": false
        }
        """));

    public static TheoryData<string> Checkpoints =>
    [
        TestData.DemoModel, TestData.At("random", "next-moe"), TestData.At("random", "next-mixed-mlp"), TestData.At("random", "qwen35-dense"),
        TestData.At("random", "qwen35-moe"), TestData.At("random", "qwen3-dense"),
    ];

    [Fact]
    public void Qwen3_Next_80B_has_its_published_sizes()
    {
        ModelFootprint footprint = new(Next80B);
        Assert.InRange(footprint.Parameters, 79_600_000_000, 79_800_000_000);
        Assert.InRange(footprint.ActiveParameters, 3_000_000_000, 3_900_000_000);
        Assert.Equal(24 * 1024, footprint.KvBytesPerToken(KvDtype.BF16));
        Assert.Equal(48 * 1024, footprint.KvBytesPerToken(KvDtype.Float32));
        Assert.Equal((12 * 1024) + (12 * 2 * 2 * 4), footprint.KvBytesPerToken(KvDtype.Int8));
        Assert.Equal(72 * MiB, footprint.StateBytes);
        Assert.Equal(36 * 8192 * 3 * 2, footprint.ConvStateBytes(DType.BF16));

        // A float32 state with its convolution window is worth the KV of so many tokens.
        Assert.Equal(3144, (footprint.StateBytes + footprint.ConvStateBytes(DType.BF16)) / footprint.KvBytesPerToken(KvDtype.BF16));
    }

    [Theory]
    [MemberData(nameof(Checkpoints))]
    public void Parameters_and_bytes_are_those_stored(string folder)
    {
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        Check(checkpoint);
    }

    [Fact]
    public void FP8_bytes_and_scales_are_those_stored()
    {
        using TemporaryFolder folder = new();
        using (Checkpoint checkpoint = Checkpoint.Open(TestData.DemoModel))
            Fp8Quantiser.Quantise(checkpoint, folder.Path);
        using Checkpoint quantised = Checkpoint.Open(folder.Path);
        Check(quantised);
    }

    [Fact]
    public void A_tied_head_is_stored_once_and_read_all_the_same()
    {
        ModelFootprint own = new(Next80B);
        ModelFootprint tied = new(Next80B with { TiedEmbeddings = true });
        Assert.Equal(151936L * 2048, own.Parameters - tied.Parameters);
        Assert.Equal(own.ActiveParameters, tied.ActiveParameters);
        Assert.Equal(own.DecodeWeightBytes, tied.DecodeWeightBytes);
    }

    [Fact]
    public void Multiply_adds_are_counted_by_hand_on_a_small_model()
    {
        ModelFootprint footprint = new(new CheckpointBuilder(
            CheckpointBuilder.WithExperts(CheckpointBuilder.WithDeltaNet(CheckpointBuilder.BaseConfig("qwen3_next"))), seed: 1).Config);

        // Hidden 48; 3 linear layers (2 key and 4 value heads of 16, 4 taps) and 1 full (4 query and 2 KV heads of 16); 5 experts of 24,
        // top 2, and a shared one of 20; vocabulary 96.
        const int LinearLayer = (48 * (32 + 32 + 64 + 64)) + (48 * 8) + (64 * 48);
        const int FullLayer = (48 * ((2 * 64) + 32 + 32)) + (64 * 48);
        const int Every = (48 * 5) + 48 + (3 * 48 * 20);
        MultiplyAdds work = footprint.MultiplyAdds(context: 10);
        Assert.Equal((3 * LinearLayer) + FullLayer + (4 * Every), work.Dense);
        Assert.Equal(4 * 2 * 3 * 48 * 24, work.Experts);
        Assert.Equal(2 * 4 * 16 * 10, work.Attention);
        Assert.Equal(3 * ((3 * 4 * 16 * 16) + (128 * 4)), work.Recurrence);
        Assert.Equal(96 * 48, work.Head);
        Assert.Equal(work.Prompt + work.Head, work.Decode);
    }

    /// <summary>Out of the tensors instead of the configuration: the same where both know, and what is stored where only they do.</summary>
    [Theory]
    [MemberData(nameof(Checkpoints))]
    public void Stored_types_count_where_they_are_known(string folder)
    {
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        ModelFootprint declared = new(checkpoint.Config);
        var stored = ModelFootprint.Of(checkpoint);
        Assert.Equal(declared.Weights.OrderBy(group => group.Role), stored.Weights.OrderBy(group => group.Role));
        Assert.Equal((declared.Parameters, declared.ActiveParameters, declared.DecodeWeightBytes), (stored.Parameters, stored.ActiveParameters, stored.DecodeWeightBytes));
        Assert.Equal(declared.MultiplyAdds(100), stored.MultiplyAdds(100));

        using TemporaryFolder quantised = new();
        GgufQuantiser.Write(checkpoint, quantised.At("x.gguf"), GgufMix.Q8_0);
        using Checkpoint file = Checkpoint.Open(quantised.At("x.gguf"));
        var small = ModelFootprint.Of(file);
        Assert.Equal(declared.Parameters, small.Parameters);
        Assert.Equal(declared.MultiplyAdds(100), small.MultiplyAdds(100));
        Assert.Equal(file.Tensors.Where(t => !t.Name.StartsWith("mtp.", StringComparison.Ordinal)).Sum(t => t.ByteLength), small.WeightBytes);
        WeightGroup experts = small.Weights.FirstOrDefault(group => group.Role == WeightRole.Experts, small.Weights[0]);
        Assert.Equal(DType.Q8_0, experts.Type);
        Assert.Equal(experts.Parameters / 32 * 34, experts.Bytes);
    }

    private static void Check(Checkpoint checkpoint)
    {
        ModelFootprint footprint = new(checkpoint.Config);
        TensorInfo[] tensors = [.. checkpoint.Tensors.Where(t => !t.Name.StartsWith("mtp.", StringComparison.Ordinal))];
        TensorInfo[] scales = [.. tensors.Where(t => t.Name.EndsWith("_scale_inv", StringComparison.Ordinal))];
        Assert.Equal(tensors.Except(scales).Sum(t => t.Shape.Aggregate(1L, (product, d) => product * d)), footprint.Parameters);
        Assert.Equal(tensors.Sum(t => t.ByteLength), footprint.WeightBytes);
        foreach ((DType type, long bytes) in footprint.WeightBytesByType())
        {
            long stored = tensors.Except(scales).Where(t => t.Type == type).Sum(t => t.ByteLength);
            Assert.Equal(type == DType.F8E4M3 ? stored + scales.Sum(t => t.ByteLength) : stored, bytes);
        }
    }
}
