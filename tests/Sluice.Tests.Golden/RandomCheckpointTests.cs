using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Cpu;
using Sluice.Models;
using Sluice.Models.Verification;
using Sluice.Testing;

namespace Sluice.Tests.Golden;

/// <summary>A small random checkpoint of each architecture against what transformers 5.17 computes in float32.</summary>
public sealed class RandomCheckpointTests(ITestOutputHelper output)
{
    private const double Tolerance = 1e-3;

    private const double RoundedTolerance = 0.1;

    private static readonly string[] Checkpoints = ["next-moe", "next-mixed-mlp", "qwen35-dense", "qwen35-moe", "qwen3-dense"];

    public static TheoryData<string, string> Cases()
    {
        TheoryData<string, string> cases = [];
        foreach (string backend in GoldenBackends.Names)
        {
            foreach (string checkpoint in Checkpoints)
                cases.Add(backend, checkpoint);
        }

        return cases;
    }

    public static TheoryData<string> Names() => [.. Checkpoints];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Logits_and_hidden_states_agree(string backendName, string name)
    {
        using IBackend backend = GoldenBackends.Create(backendName);
        VerificationReport report = Verify(name, backend);

        output.WriteLine($"logits: max {report.Logits!.RelativeMaxError:e2}, mean {report.Logits.RelativeMeanError:e2} of their standard deviation");
        foreach (Comparison state in report.Hidden)
            output.WriteLine($"{state.Name}: max {state.RelativeMaxError:e2}, mean {state.RelativeMeanError:e2}");
        Assert.Null(report.FirstDeparture(Tolerance));
        Assert.InRange(report.Logits.RelativeMaxError, 0, Tolerance);
        Assert.True(report.ArgmaxAgreement > 0.99, $"only {report.ArgmaxAgreement:p1} of positions have the same most likely token");
        Assert.True(report.Passes(Tolerance));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void With_rounded_activations_they_agree_on_average(string name)
    {
        using CpuBackend backend = new(new CpuOptions { Activations = ActivationPrecision.Fast });
        AgreesRounded(Verify(name, backend));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void On_a_card_they_agree_on_average(string name)
    {
        GoldenBackends.NeedCard();
        using IBackend backend = GoldenBackends.Create(GoldenBackends.Card);
        AgreesRounded(Verify(name, backend));
    }

    private static VerificationReport Verify(string name, IBackend backend)
    {
        string folder = TestData.At("random", name);
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        ExpectedOutputs expected = ExpectedOutputs.Read(Path.Combine(folder, "expected.safetensors"), checkpoint.Config);
        using LanguageModel model = LanguageModel.Load(checkpoint, backend, expected.Options(chunk: 64));
        VerificationReport report = Verifier.Run(model, expected);
        Assert.Equal(checkpoint.Config.LayerCount + 1, report.Hidden.Count);
        return report;
    }

    private void AgreesRounded(VerificationReport report)
    {
        output.WriteLine($"logits: mean {report.Logits!.RelativeMeanError:e2} of their standard deviation; argmax {report.ArgmaxAgreement:p1}, widest gap {report.ArgmaxGaps.DefaultIfEmpty().Max() / report.Logits.StandardDeviation:f2}");
        Assert.True(report.Passes(RoundedTolerance, isRounded: true));
        Assert.False(report.Passes(Tolerance), "nothing was rounded");
    }
}
