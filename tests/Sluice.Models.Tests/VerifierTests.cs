using Sluice.Backends.Reference;
using Sluice.Checkpoints;
using Sluice.Core;
using Sluice.Models.Verification;
using Sluice.Testing;

namespace Sluice.Models.Tests;

public sealed class VerifierTests
{
    private static readonly string Folder = TestData.At("random", "next-mixed-mlp");

    [Fact]
    public void The_report_does_not_depend_on_the_chunk()
    {
        VerificationReport whole = Verify(Folder, expected => expected, chunk: 150);
        VerificationReport parts = Verify(Folder, expected => expected, chunk: 7);
        Assert.Equal(whole.Logits, parts.Logits);
        Assert.Equal(whole.Hidden, parts.Hidden);
        Assert.Equal(150, whole.Tokens);
        Assert.Equal(150 * 320, whole.Logits!.Count);
        Assert.Equal(1, whole.ArgmaxAgreement);
        Assert.Null(whole.NegativeLogLikelihood);
        Assert.True(whole.Passes(1e-3));
        Assert.False(whole.Passes(1e-9));
    }

    [Fact]
    public void A_wrong_weight_is_found_in_its_layer()
    {
        using TemporaryFolder wrong = new();
        Dictionary<string, StoredTensor> tensors = TensorFile.Read(Path.Combine(Folder, "model.safetensors"));
        tensors["model.layers.2.linear_attn.A_log"].Bytes[1] ^= 0x80; // a sign
        TensorFile.Write(wrong.At("model.safetensors"), tensors);
        File.Copy(Path.Combine(Folder, "config.json"), wrong.At("config.json"));
        VerificationReport report = Verify(wrong.Path, expected => expected, chunk: 64);
        Assert.Equal("layer 2", report.FirstDeparture(1e-3)!.Name);
        Assert.False(report.Passes(1e-3));
        Assert.False(report.Passes(0.1, isRounded: true));
        Assert.Equal(0, report.Hidden[0].MaxError);
        Assert.Equal("layer 5 and final norm", report.Hidden[^1].Name);
    }

    [Fact]
    public void Likelihoods_follow_from_the_logits()
    {
        VerificationReport report = Verify(
            Folder,
            expected =>
            {
                float[] logits = expected.Logits!;
                float[] nll = [.. Enumerable.Range(0, 149).Select(t =>
                {
                    float[] row = logits[(t * 320)..((t + 1) * 320)];
                    return (float)(Math.Log(row.Sum(logit => Math.Exp(logit))) - row[expected.InputIds[t + 1]]);
                })];
                return expected with { Logits = null, Hidden = null, LastLogits = logits[(149 * 320)..], NegativeLogLikelihood = nll };
            },
            chunk: 40);
        Assert.Null(report.Logits);
        Assert.Empty(report.Hidden);
        Assert.Null(report.ArgmaxAgreement);
        Assert.Equal(149, report.NegativeLogLikelihood!.Count);
        Assert.InRange(report.NegativeLogLikelihood.MaxError, 0, 1e-3);
        Assert.Equal(320, report.LastLogits!.Count);
        Assert.True(report.Passes(1e-3));
    }

    [Fact]
    public void Hidden_states_of_the_last_tokens_are_compared_with_those()
    {
        VerificationReport report = Verify(
            Folder,
            expected => expected with
            {
                Hidden = [.. Enumerable.Range(0, 7).SelectMany(s => expected.Hidden![(((s * 150) + 140) * 64)..((s + 1) * 150 * 64)])],
                HiddenTokens = 10,
            },
            chunk: 33);
        Assert.All(report.Hidden, state => Assert.Equal(10 * 64, state.Count));
        Assert.Null(report.FirstDeparture(1e-3));
    }

    [Fact]
    public void A_prefix_is_a_shorter_text()
    {
        VerificationReport report = Verify(Folder, expected => expected.Prefix(20), chunk: 64);
        Assert.Equal(20 * 320, report.Logits!.Count);
        Assert.True(report.Passes(1e-3));
    }

    [Fact]
    public void What_is_not_a_number_is_infinitely_wrong()
    {
        ComparisonBuilder builder = new("x");
        builder.Add([1, 2, 3], [1, float.NaN, 3]);
        Assert.Equal(double.PositiveInfinity, builder.Build().MaxError);
        Assert.Equal(double.PositiveInfinity, builder.Build().RelativeMaxError);
        Assert.False(new VerificationReport { Tokens = 1, Logits = builder.Build() }.Passes(1));
        Assert.False(new VerificationReport { Tokens = 1, Hidden = [builder.Build()] }.Passes(1));
    }

    [Fact]
    public void Files_that_do_not_fit_are_refused_with_what_was_expected()
    {
        using Checkpoint checkpoint = Checkpoint.Open(Folder);
        using TemporaryFolder folder = new();
        Refused("input_ids of one dimension, found none", new() { ["logits"] = StoredTensor.F32(new float[2], 2) });
        Refused("logits, last_logits, nll, argmax or hidden", new() { ["input_ids"] = StoredTensor.I32([1], 1) });
        Refused("logits: expected [1, 320], found [320]", new() { ["input_ids"] = StoredTensor.I32([1], 1), ["logits"] = StoredTensor.F32(new float[320], 320) });
        Refused("argmax: expected I32 or I64, found F32", new() { ["input_ids"] = StoredTensor.I32([1], 1), ["argmax"] = StoredTensor.F32([1], 1) });
        Refused(
            "hidden: expected [7, 1, 64], found [5, 1, 64]",
            new() { ["input_ids"] = StoredTensor.I32([1], 1), ["hidden"] = StoredTensor.F32(new float[320], 5, 1, 64) });
        Assert.Throws<CheckpointException>(() => ExpectedOutputs.Read(folder.At("none.safetensors"), checkpoint.Config));

        void Refused(string message, Dictionary<string, StoredTensor> tensors)
        {
            TensorFile.Write(folder.At("x.safetensors"), tensors);
            CheckpointException error = Assert.Throws<CheckpointException>(() => ExpectedOutputs.Read(folder.At("x.safetensors"), checkpoint.Config));
            Assert.Contains(message, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Another_likeliest_token_counts_unless_its_logit_is_near()
    {
        var builder = new ComparisonBuilder("logits");
        builder.Add(-1, -1);
        builder.Add(1, 1); // a standard deviation of 1
        Assert.True(With(0.19).Passes(0.1));
        Assert.False(With(0.21).Passes(0.1));
        Assert.True((With(0.21) with { Tokens = 10 }).Passes(0.1));
        Assert.False((With(0) with { Logits = null, ArgmaxGaps = [double.PositiveInfinity] }).Passes(0.1));

        VerificationReport With(double gap) => new() { Tokens = 9, Logits = builder.Build(), ArgmaxGaps = [gap] };
    }

    private static VerificationReport Verify(string folder, Func<ExpectedOutputs, ExpectedOutputs> change, int chunk)
    {
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        ExpectedOutputs expected = change(ExpectedOutputs.Read(Path.Combine(Folder, "expected.safetensors"), checkpoint.Config));
        using ReferenceBackend backend = new();
        using LanguageModel model = LanguageModel.Load(checkpoint, backend, expected.Options(chunk));
        return Verifier.Run(model, expected);
    }
}
