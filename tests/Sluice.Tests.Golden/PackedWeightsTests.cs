using System.Security.Cryptography;
using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Checkpoints.Quantising;
using Sluice.Cpu;
using Sluice.Models;
using Sluice.Testing;

namespace Sluice.Tests.Golden;

/// <summary>Whole models out of a file of packed weights: the same bits as packed anew, and a file that is the same whoever writes it.</summary>
public sealed class PackedWeightsTests
{
    private static readonly ModelOptions Options = new() { MaxStepTokens = 64, MaxLogitRows = 64, Pages = 8, Slots = 2 };

    [Theory]
    [InlineData("bf16")]
    [InlineData("fp8")]
    [InlineData("q8_0")]
    [InlineData("q4_k_m")]
    public void Logits_are_the_same_bits(string type)
    {
        using TemporaryFolder folder = new();
        string model = type switch
        {
            "bf16" => TestData.DemoModel,
            "fp8" => Fp8(folder),
            "q8_0" => Gguf(TestData.DemoModel, folder, GgufMix.Q8_0),
            _ => Gguf(TestData.DemoModel, folder, GgufMix.Q4_K_M),
        };
        string kept = folder.At("kept");
        float[] plain = Logits(model, null, isMapped: false);
        Assert.Equal(plain, Logits(model, kept, isMapped: false));
        string file = Assert.Single(Directory.GetFiles(kept));
        byte[] written = SHA256.HashData(File.ReadAllBytes(file));
        Assert.Equal(plain, Logits(model, kept, isMapped: true));

        // Weights are packed by several threads in no order; the file does not show it.
        File.Delete(file);
        Assert.Equal(plain, Logits(model, kept, isMapped: false));
        Assert.Equal(written, SHA256.HashData(File.ReadAllBytes(file)));
    }

    /// <summary>
    /// Which stored rows a piece has is not in its key where it is a matter of the file's conventions: when one of these hashes changes, raise PackedLayout.Version.
    /// </summary>
    [Theory]
    [InlineData("next-moe", "57bfb8f46e54d23356541a2e1e34e1f85bfe5a35eca2121e544936d111aa16a1")]
    [InlineData("qwen35-moe", "ce998bcaa8287a2c723708ba85b863d5219fe9fbd846b32e6b564fb8ad2830d3")]
    public void Files_have_what_they_had(string name, string expected)
    {
        using TemporaryFolder folder = new();
        string model = Gguf(TestData.At("random", name), folder, GgufMix.BF16);
        Logits(model, folder.At("kept"), isMapped: false);

        // Behind the header, which has the time of the checkpoint.
        using FileStream file = File.OpenRead(Assert.Single(Directory.GetFiles(folder.At("kept"))));
        file.Position = 128;
        string found = Convert.ToHexStringLower(SHA256.HashData(file));
        Assert.True(found == expected, $"{name}: {found}");
    }

    [Fact]
    public void A_changed_checkpoint_has_another_identity()
    {
        using TemporaryFolder folder = new();
        string model = Gguf(TestData.At("random", "next-moe"), folder, GgufMix.BF16);
        byte[] before = Identity(model);
        Assert.Equal(before, Identity(model));
        string moved = folder.At("moved/" + Path.GetFileName(model));
        Directory.CreateDirectory(folder.At("moved"));
        File.Copy(model, moved);
        File.SetLastWriteTimeUtc(moved, File.GetLastWriteTimeUtc(model));
        Assert.Equal(before, Identity(moved));
        File.SetLastWriteTimeUtc(moved, File.GetLastWriteTimeUtc(model).AddTicks(10));
        Assert.NotEqual(before, Identity(moved));
        File.Move(model, folder.At("other.gguf"));
        Assert.NotEqual(before, Identity(folder.At("other.gguf")));
        Assert.NotEqual(Identity(TestData.At("random", "next-moe")), Identity(TestData.At("random", "qwen35-moe")));

        static byte[] Identity(string path)
        {
            using Checkpoint checkpoint = Checkpoint.Open(path);
            return checkpoint.Identity();
        }
    }

    private static float[] Logits(string path, string? kept, bool isMapped)
    {
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using CpuBackend backend = new(new CpuOptions { Threads = 2, PackedWeights = PackedWeightsOptions.For(kept, path, ActivationPrecision.Fast, () => checkpoint.Identity()) });
        using var model = LanguageModel.Load(checkpoint, backend, Options);
        if (backend.PackedWeights is { } packed)
        {
            Assert.Equal(isMapped, packed.AreMapped);
            Assert.True(packed.AreMapped || packed.TryWrite(), packed.Failure);
        }

        StepBatch batch = new(Options.MaxStepTokens);
        int[] prompt = [.. Enumerable.Range(3, 40)];
        batch.Add(prompt, 0, 0, [0, 1, 2], LogitsWanted.All);
        model.Forward(batch);
        float[] logits = new float[prompt.Length * model.Config.VocabularySize];
        for (int row = 0; row < prompt.Length; row++)
            model.ReadLogits(row, logits.AsSpan(row * model.Config.VocabularySize, model.Config.VocabularySize));
        return logits;
    }

    private static string Gguf(string model, TemporaryFolder folder, GgufMix mix)
    {
        string file = folder.At("model.gguf");
        using var checkpoint = Checkpoint.Open(model);
        GgufQuantiser.Write(checkpoint, file, mix);
        return file;
    }

    private static string Fp8(TemporaryFolder folder)
    {
        string model = folder.At("fp8");
        Directory.CreateDirectory(model);
        using var checkpoint = Checkpoint.Open(TestData.DemoModel);
        Fp8Quantiser.Quantise(checkpoint, model);
        return model;
    }
}
