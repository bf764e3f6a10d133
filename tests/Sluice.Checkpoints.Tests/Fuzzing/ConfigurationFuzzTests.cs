using System.Text;
using Sluice.Checkpoints.Safetensors;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests.Fuzzing;

/// <summary>Mutated configurations and indexes. <c>SLUICE_FUZZ_CONFIGS=1000000</c> runs a campaign of each.</summary>
public sealed class ConfigurationFuzzTests
{
    private const string Variable = "SLUICE_FUZZ_CONFIGS";
    private const long Usual = 5_000;

    [Fact]
    public void Mutated_configurations_load_or_are_refused()
    {
        byte[][] seeds =
        [
            File.ReadAllBytes(Path.Combine(TestData.Demo, "config.json")),
            .. TestData.RandomCheckpoints.Select(name => File.ReadAllBytes(Path.Combine(TestData.RandomCheckpoint(name), "config.json"))),
            ModelConfigWriter.Write(TinyModel.Config with { Fp8Block = (128, 128) }),
            Encoding.UTF8.GetBytes(
                $$"""{"model_type":"qwen3_5","tie_word_embeddings":true,"text_config":{{File.ReadAllText(Path.Combine(TestData.RandomCheckpoint("qwen35-dense"), "config.json"))}}}"""),
        ];
        Check(Campaign.Run(seeds, Campaign.Iterations(Variable, Usual), () => (document, _) => CheckSizes(ModelConfigReader.Read(document))));
    }

    [Fact]
    public void Mutated_generation_defaults_load_or_are_refused()
    {
        byte[] seed = File.ReadAllBytes(Path.Combine(TestData.Demo, "generation_config.json"));
        Check(Campaign.Run([seed], Campaign.Iterations(Variable, Usual), () => (document, _) =>
        {
            GenerationDefaults.Read(document);
            return null;
        }));
    }

    [Fact]
    public void Mutated_indexes_load_or_are_refused()
    {
        byte[] seed = Encoding.UTF8.GetBytes(
            """
            {"metadata":{"total_size":123},"weight_map":{"a.weight":"model-00001-of-00002.safetensors","b.weight":"model-00002-of-00002.safetensors",
             "c":"model-00001-of-00002.safetensors"}}
            """);
        Check(Campaign.Run([seed], Campaign.Iterations(Variable, Usual), () => (document, _) => CheckNames(ShardIndex.Parse(document, "index"))));
    }

    private static void Check(Campaign.Outcome outcome)
    {
        Assert.True(outcome.Loaded > outcome.Refused / 100, $"{outcome}: the mutations are too rough to test anything");
        Assert.True(outcome.Refused > outcome.Loaded / 100, $"{outcome}: the mutations are too gentle");
    }

    /// <summary>Whatever loads must be safe to size buffers with.</summary>
    private static SluiceException? CheckSizes(ModelConfig config)
    {
        bool sane = config.LayerCount is > 0 and <= 1024
            && config.SparseLayers.Count == config.LayerCount
            && config.Attention.QueryHeads % config.Attention.KvHeads == 0
            && config.Attention.RotaryDim % 2 == 0
            && config.Attention.RotaryDim <= config.Attention.HeadDim
            && 2L * config.Attention.QueryHeads * config.Attention.HeadDim <= int.MaxValue
            && (long)config.HiddenSize * sizeof(float) <= int.MaxValue
            && (config.LinearAttention is not { } linear
                || ((2L * linear.KeyHeads * linear.KeyDim) + (2L * linear.ValueHeads * linear.ValueDim) <= int.MaxValue
                    && (long)linear.ValueHeads * linear.KeyDim * linear.ValueDim <= int.MaxValue
                    && linear.ConvStateElements > 0));
        if (!sane)
            throw new InvalidOperationException("a configuration was accepted that overflows");
        return null;
    }

    private static SluiceException? CheckNames(ShardIndex index)
    {
        foreach (string file in index.Files)
        {
            if (Path.GetFileName(file) != file || Path.IsPathRooted(file) || file.Contains('\\', StringComparison.Ordinal))
                throw new InvalidOperationException($"a shard name was accepted that leaves the folder: {file}");
        }

        return null;
    }
}
