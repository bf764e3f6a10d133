using System.Security.Cryptography;
using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Checkpoints.Quantising;
using Sluice.Core;
using Sluice.Models;
using Sluice.Models.Verification;
using Sluice.Testing;

namespace Sluice.Tests.Golden;

/// <summary>Checkpoints as GGUF files: in plain types as right as in safetensors, and quantised not much worse.</summary>
public sealed class GgufTests(ITestOutputHelper output)
{
    private const double Tolerance = 1e-3;

    public static TheoryData<string, string, GgufMix> Cases()
    {
        TheoryData<string, string, GgufMix> cases = [];
        foreach (string backend in GoldenBackends.Names)
        {
            foreach (string checkpoint in (ReadOnlySpan<string>)["next-moe", "next-mixed-mlp", "qwen35-dense", "qwen35-moe", "qwen3-dense"])
            {
                cases.Add(backend, checkpoint, GgufMix.BF16);
                cases.Add(backend, checkpoint, GgufMix.F32);
            }
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Random_checkpoints_agree(string backendName, string name, GgufMix mix)
    {
        using TemporaryFolder folder = new();
        string file = Write(TestData.At("random", name), folder, mix);
        using var checkpoint = Checkpoint.Open(file);
        ExpectedOutputs expected = ExpectedOutputs.Read(TestData.At("random", name, "expected.safetensors"), checkpoint.Config);
        using IBackend backend = GoldenBackends.Create(backendName);
        using var model = LanguageModel.Load(checkpoint, backend, expected.Options(chunk: 64));
        VerificationReport report = Verifier.Run(model, expected);
        output.WriteLine($"logits: max {report.Logits!.RelativeMaxError:e2}, mean {report.Logits.RelativeMeanError:e2} of their standard deviation");
        Assert.Null(report.FirstDeparture(Tolerance));
        Assert.InRange(report.Logits.RelativeMaxError, 0, Tolerance);
        Assert.True(report.Passes(Tolerance));
    }

    /// <summary>For devices that want value heads grouped by key head, where files have them tiled.</summary>
    [Theory]
    [InlineData("qwen35-dense")]
    [InlineData("qwen35-moe")]
    public void Heads_go_back_to_their_groups(string name)
    {
        using TemporaryFolder folder = new();
        using var checkpoint = Checkpoint.Open(Write(TestData.At("random", name), folder, GgufMix.F32));
        Assert.NotSame(checkpoint, checkpoint.WithStoredHeads());
        Assert.False(checkpoint.Config.LinearAttention!.TiledValueHeads);
        Assert.True(checkpoint.WithStoredHeads().Config.LinearAttention!.TiledValueHeads);
        ExpectedOutputs expected = ExpectedOutputs.Read(TestData.At("random", name, "expected.safetensors"), checkpoint.Config);
        using IBackend backend = GoldenBackends.Create(GoldenBackends.Cpu);
        using var model = LanguageModel.Load(new GroupedHeads(checkpoint), backend, expected.Options(chunk: 64));
        Assert.True(Verifier.Run(model, expected).Passes(Tolerance));
    }

    /// <summary>Perplexity over 2,348 tokens, against that of the BF16 weights.</summary>
    [Theory]
    [InlineData(GgufMix.BF16, 0.0001)]
    [InlineData(GgufMix.Q8_0, 0.01)]
    [InlineData(GgufMix.Q5_K_M, 0.03)]
    [InlineData(GgufMix.Q4_K_M, 0.05)]
    public void Quantised_the_demonstration_model_is_as_sure_as_before(GgufMix mix, double allowed)
    {
        using TemporaryFolder folder = new();
        string file = Write(TestData.DemoModel, folder, mix);
        ExpectedOutputs expected;
        using (var checkpoint = Checkpoint.Open(file))
            expected = ExpectedOutputs.Read(TestData.At("demo", "long.safetensors"), checkpoint.Config) with { Hidden = null };
        using DemoModel demo = new(GoldenBackends.Cpu, expected.Options(chunk: 256), file);
        VerificationReport report = Verifier.Run(demo.Model, expected);
        Comparison nll = report.NegativeLogLikelihood!;
        output.WriteLine(
            $"{mix}: {new FileInfo(file).Length} bytes, perplexity {Math.Exp(nll.Mean + nll.MeanDifference):f5}, {Math.Exp(nll.MeanDifference) - 1:p3} from {Math.Exp(nll.Mean):f5}, argmax {report.ArgmaxAgreement:p2}");
        Assert.InRange(Math.Exp(nll.MeanDifference), 1 - allowed, 1 + allowed);
    }

    /// <summary>
    /// FP8 made of a file: of one in BF16 it is FP8 made of the folder, to the bit; of a quantised one, which is rounded a second time, as sure within a fraction of a percent
    /// of the latter's perplexity.
    /// </summary>
    [Theory]
    [InlineData(GgufMix.BF16, 0)]
    [InlineData(GgufMix.Q8_0, 0.002)]
    [InlineData(GgufMix.Q4_K_M, 0.005)]
    public void FP8_made_of_a_file_is_as_sure_as_FP8_made_of_the_folder(GgufMix mix, double allowed)
    {
        using TemporaryFolder folder = new();
        using (var source = Checkpoint.Open(TestData.DemoModel))
            GgufQuantiser.Write(source, folder.At("model.gguf"), mix, predictionHead: true);
        using (var file = Checkpoint.Open(folder.At("model.gguf")))
            Fp8Quantiser.Quantise(file, folder.At("fp8"));
        if (mix == GgufMix.BF16)
        {
            using FileStream weights = File.OpenRead(Path.Combine(folder.At("fp8"), "model.safetensors"));
            Assert.Equal(DemoLongTests.Fp8Weights, Convert.ToHexStringLower(SHA256.HashData(weights)));
            return;
        }

        ExpectedOutputs expected;
        using (var made = Checkpoint.Open(folder.At("fp8")))
            expected = ExpectedOutputs.Read(TestData.At("demo", "fp8_long.safetensors"), made.Config) with { Hidden = null };
        using DemoModel demo = new(GoldenBackends.Cpu, expected.Options(chunk: 256), folder.At("fp8"));
        Comparison nll = Verifier.Run(demo.Model, expected).NegativeLogLikelihood!;
        output.WriteLine($"{mix}: perplexity {Math.Exp(nll.Mean + nll.MeanDifference):f5}, {Math.Exp(nll.MeanDifference) - 1:p3} from {Math.Exp(nll.Mean):f5}");
        Assert.InRange(Math.Exp(nll.MeanDifference), 1 - allowed, 1 + allowed);
    }

    /// <summary>A checkpoint that has no other order of heads to offer.</summary>
    private sealed class GroupedHeads(Checkpoint checkpoint) : TensorStore
    {
        public override ModelConfig Config => checkpoint.Config;

        public override IReadOnlyCollection<string> Names => checkpoint.Names;

        public override bool Has(string name) => checkpoint.Has(name);

        public override TensorInfo? Find(string name, ReadOnlySpan<int> expectedShape, DType expectedType) => checkpoint.Find(name);

        public override ReadOnlySpan<byte> Bytes(TensorInfo tensor, long offset, int count, Span<byte> scratch) => checkpoint.Bytes(tensor, offset, count, scratch);
    }

    private static string Write(string source, TemporaryFolder folder, GgufMix mix)
    {
        string file = folder.At("model.gguf");
        using var checkpoint = Checkpoint.Open(source);
        GgufQuantiser.Write(checkpoint, file, mix);
        return file;
    }
}
