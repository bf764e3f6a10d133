using System.Text;
using Sluice.Checkpoints.Configuration;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests;

public sealed class GenerationDefaultsTests
{
    [Fact]
    public void Reads_every_field()
    {
        GenerationDefaults defaults = Read(
            """
            {"do_sample":true,"temperature":0.7,"top_k":20,"top_p":0.8,"min_p":0.05,"repetition_penalty":1.05,
             "presence_penalty":1.5,"frequency_penalty":-0.5,"max_new_tokens":2048,"eos_token_id":[7,8],"transformers_version":"4.57.0"}
            """);
        Assert.Equivalent(
            new GenerationDefaults
            {
                DoSample = true,
                Temperature = 0.7f,
                TopK = 20,
                TopP = 0.8f,
                MinP = 0.05f,
                RepetitionPenalty = 1.05f,
                PresencePenalty = 1.5f,
                FrequencyPenalty = -0.5f,
                MaxNewTokens = 2048,
                EndOfText = [7, 8],
            },
            defaults,
            strict: true);
    }

    [Fact]
    public void What_is_written_reads_back_the_same()
    {
        GenerationDefaults[] all =
        [
            new() { DoSample = true, Temperature = 0.7f, TopK = 20, TopP = 0.8f, MinP = 0.05f, RepetitionPenalty = 1.05f, PresencePenalty = 1.5f, FrequencyPenalty = -0.5f, MaxNewTokens = 9, EndOfText = [7, 8] },
            new() { DoSample = false, EndOfText = [3] },
            new() { TopK = 1, EndOfText = [3] },
            new() { EndOfText = [3] },
        ];
        foreach (GenerationDefaults defaults in all)
            Assert.Equivalent(defaults, Read(Encoding.UTF8.GetString(GenerationDefaultsWriter.Write(defaults, [1, 2])!)), strict: true);

        // Greedy is said as transformers says it; ends are the model's where there are no others; of nothing there is no file.
        Assert.Equivalent(
            new GenerationDefaults { DoSample = false, EndOfText = [1, 2] },
            Read(Encoding.UTF8.GetString(GenerationDefaultsWriter.Write(new GenerationDefaults { DoSample = false, Temperature = 0 }, [1, 2])!)), strict: true);
        Assert.Null(GenerationDefaultsWriter.Write(GenerationDefaults.None, [1, 2]));
    }

    [Fact]
    public void One_id_is_a_list_of_one() => Assert.Equal([9], Read("""{"eos_token_id":9}""").EndOfText);

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"do_sample":null,"temperature":null,"top_k":null,"eos_token_id":null}""")]
    [InlineData("""{"_from_model_config":true,"unknown":[{}]}""")]
    public void Silence_is_no_opinion(string json) => Assert.Equivalent(GenerationDefaults.None, Read(json), strict: true);

    [Theory]
    [InlineData("""{"temperature":-1}""", "temperature: expected a number from 0")]
    [InlineData("""{"temperature":"hot"}""", "temperature: expected a finite number")]
    [InlineData("""{"top_p":1.5}""", "top_p: expected a number from 0 to 1, found 1.5")]
    [InlineData("""{"min_p":-0.1}""", "min_p")]
    [InlineData("""{"top_k":1.5}""", "top_k: expected a whole number")]
    [InlineData("""{"top_k":-1}""", "top_k")]
    [InlineData("""{"repetition_penalty":0}""", "repetition_penalty")]
    [InlineData("""{"do_sample":1}""", "do_sample: expected true or false")]
    [InlineData("""{"eos_token_id":[-1]}""", "eos_token_id")]
    [InlineData("""{"eos_token_id":["x"]}""", "eos_token_id")]
    [InlineData("""{"eos_token_id":1e3}""", "eos_token_id")]
    [InlineData("[]", "not a JSON object")]
    [InlineData("nonsense", "not valid JSON")]
    public void Refuses(string json, string problem)
    {
        var error = Assert.Throws<ConfigurationException>(() => Read(json));
        Assert.StartsWith("generation_config.json", error.Message, StringComparison.Ordinal);
        Assert.Contains(problem, error.Message, StringComparison.Ordinal);
    }

    private static GenerationDefaults Read(string json) => GenerationDefaults.Read(Encoding.UTF8.GetBytes(json));
}
