using System.Security.Cryptography;
using Sluice.Checkpoints;
using Sluice.Checkpoints.Quantising;
using Sluice.Models.Verification;
using Sluice.Testing;

namespace Sluice.Tests.Golden;

/// <summary>The demonstration model over 2,348 tokens against what transformers 5.17 computes in float32.</summary>
public sealed class DemoLongTests(ITestOutputHelper output)
{
    /// <summary>SHA-256 of the FP8 weights that the expected outputs were computed from.</summary>
    internal const string Fp8Weights = "664da95bea6369a30feaa101d7e293a92c5f48965ae007f3255f04567528cedc";

    /// <summary>The whole text for fast backends, its beginning for the scalar one.</summary>
    public static TheoryData<string, int> Backends()
    {
        TheoryData<string, int> cases = [];
        foreach (string backend in GoldenBackends.Names)
            cases.Add(backend, backend == GoldenBackends.Scalar ? 100 : int.MaxValue);
        return cases;
    }

    [Theory]
    [MemberData(nameof(Backends))]
    public void Likelihoods_agree(string backend, int tokens) => Check(backend, tokens, TestData.DemoModel, "long.safetensors");

    /// <summary>
    /// The FP8 demonstration model is not kept: quantising the BF16 one reproduces, byte for byte, the file that the expected outputs
    /// were computed from.
    /// </summary>
    [Theory]
    [MemberData(nameof(Backends))]
    public void Likelihoods_agree_in_FP8(string backend, int tokens)
    {
        using TemporaryFolder folder = new();
        using (Checkpoint checkpoint = Checkpoint.Open(TestData.DemoModel))
            Fp8Quantiser.Quantise(checkpoint, folder.Path);
        using (FileStream file = File.OpenRead(folder.At("model.safetensors")))
            Assert.Equal(Fp8Weights, Convert.ToHexStringLower(SHA256.HashData(file)));
        Check(backend, tokens, folder.Path, "fp8_long.safetensors");
    }

    private void Check(string backend, int tokens, string folder, string file)
    {
        ExpectedOutputs expected;
        using (Checkpoint checkpoint = Checkpoint.Open(folder))
            expected = ExpectedOutputs.Read(TestData.At("demo", file), checkpoint.Config);
        if (tokens < expected.InputIds.Length)
            expected = expected.Prefix(tokens);
        using DemoModel demo = new(backend, expected.Options(chunk: 256), folder);
        VerificationReport report = Verifier.Run(demo.Model, expected);

        output.WriteLine($"nll: mean {report.NegativeLogLikelihood!.MeanError:e2}, max {report.NegativeLogLikelihood.MaxError:e2}; argmax {report.ArgmaxAgreement:p3}");
        foreach (Comparison state in report.Hidden)
            output.WriteLine($"{state.Name}: max {state.RelativeMaxError:e2}, mean {state.RelativeMeanError:e2}");
        Assert.InRange(report.NegativeLogLikelihood.MeanError, 0, 1e-4);
        Assert.InRange(report.ArgmaxAgreement!.Value, 0.999, 1);
        Assert.Null(report.FirstDeparture(1e-2));
        if (report.LastLogits is not null)
            Assert.InRange(report.LastLogits.RelativeMaxError, 0, 1e-3);
    }
}
