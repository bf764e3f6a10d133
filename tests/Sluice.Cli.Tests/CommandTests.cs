using System.Text.Json;

namespace Sluice.Cli.Tests;

/// <summary>Every command, run as a user runs it, on the demonstration model.</summary>
public sealed class CommandTests
{
    private static string Data => Path.Combine(RepositoryRoot(), "tests", "data");

    [Fact]
    public async Task ChatAnswersAndEnds()
    {
        ProgramRun run = await SluiceProgram.RunAsync("chat", "--temperature", "0", "What is 92 + 30?");
        Assert.Equal((0, "92 + 30 = 122\n", ""), (run.ExitCode, run.Output, run.Errors));
    }

    [Fact]
    public async Task AConversationRemembersResetsAndSaves()
    {
        string file = Path.GetTempFileName();
        ProgramRun run = await SluiceProgram.RunWithInputAsync(
            $"Remember these codes: zebra=7407, quartz=1492, island=8108, marble=3357.\nWhat is the code of the zebra?\n/save {file}\n/nonsense\n/reset\n/system Answer briefly.\n/system\n/help\n/exit\n",
            "chat", "--temperature", "0");
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("The code of the zebra is 7407.", run.Output, StringComparison.Ordinal);
        Assert.Contains("unknown command /nonsense", run.Errors, StringComparison.Ordinal);
        Assert.Contains("Answer briefly.", run.Output, StringComparison.Ordinal);
        using JsonDocument saved = JsonDocument.Parse(await File.ReadAllBytesAsync(file));
        Assert.Equal(["user", "assistant", "user", "assistant"], saved.RootElement.EnumerateArray().Select(message => message.GetProperty("role").GetString()));
        File.Delete(file);
    }

    [Fact]
    public async Task GenerateContinuesManyPromptsAsAloneAndReportsLogprobs()
    {
        string prompts = Path.GetTempFileName();
        string output = Path.GetTempFileName();
        await File.WriteAllTextAsync(prompts, """[{"prompt_ids":[4097,287,198,613,311,24],"max_tokens":5},{"prompt_ids":[4097,287],"max_tokens":3},{"prompt_ids":[4097,287,198,613,311,24],"max_tokens":5}]""");
        ProgramRun run = await SluiceProgram.RunAsync("generate", "--ids-file", prompts, "--out", output, "--temperature", "0", "--top-logprobs", "4");
        Assert.Equal((0, ""), (run.ExitCode, run.Output));
        using JsonDocument result = JsonDocument.Parse(await File.ReadAllBytesAsync(output));
        JsonElement[] items = [.. result.RootElement.EnumerateArray()];
        Assert.Equal(3, items.Length);
        Assert.Equal(items[0].GetRawText(), items[2].GetRawText());
        int[] ids = [.. items[0].GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
        JsonElement[] top = [.. items[0].GetProperty("top_logprobs").EnumerateArray()];
        Assert.Equal(ids, top.Select(entry => entry[0][0].GetInt32()));
        Assert.All(top, entry => Assert.Equal(4, entry.GetArrayLength()));
        Assert.True(top[0][0][1].GetDouble() <= 0);
        File.Delete(prompts);
        File.Delete(output);
    }

    [Fact]
    public async Task TheSameSeedGivesTheSameText()
    {
        string[] arguments = ["generate", "--prompt", "The ", "--temperature", "1.5", "--seed", "7", "--max-tokens", "24", "--json"];
        ProgramRun first = await SluiceProgram.RunAsync(arguments);
        ProgramRun second = await SluiceProgram.RunAsync([.. arguments, "--numa", "off", "--pin", "auto"]);
        ProgramRun other = await SluiceProgram.RunAsync([.. arguments[..6], "8", .. arguments[7..]]);
        Assert.Equal(0, first.ExitCode);
        Assert.Equal(first.Output, second.Output);
        Assert.NotEqual(first.Output, other.Output);
    }

    [Fact]
    public async Task KeysAndValuesMayBeKeptInFewerBitsWhereTheDeviceCan()
    {
        string expected = Path.Combine(Data, "demo", "long.safetensors");
        ProgramRun rounded = await SluiceProgram.RunAsync("verify", "--expected", expected, "--kv-dtype", "int8", "--tolerance", "0.02");
        Assert.Equal(0, rounded.ExitCode);
        ProgramRun departs = await SluiceProgram.RunAsync("verify", "--expected", expected, "--kv-dtype", "int8", "--tolerance", "1e-5");
        Assert.Equal(1, departs.ExitCode);
        ProgramRun card = await SluiceProgram.RunAsync("verify", "--expected", expected, "--device", "cuda", "--kv-dtype", "int8");
        Assert.Equal(1, card.ExitCode);
        Assert.Contains("kv-dtype: a card keeps keys and values in bf16; found int8", card.Errors.ReplaceLineEndings(" "), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("next-moe")]
    [InlineData("qwen35-dense")]
    public async Task VerifyAgreesAndSaysWhenItDoesNot(string name)
    {
        string model = Path.Combine(Data, "random", name);
        string expected = Path.Combine(model, "expected.safetensors");
        ProgramRun agrees = await SluiceProgram.RunAsync("verify", "--model", model, "--expected", expected);
        Assert.Equal(0, agrees.ExitCode);
        Assert.Contains("no layer departs", agrees.Output, StringComparison.Ordinal);
        ProgramRun departs = await SluiceProgram.RunAsync("verify", "--model", model, "--expected", expected, "--tolerance", "1e-9", "--device", "reference");
        Assert.Equal(1, departs.ExitCode);
        Assert.Contains("first departure: layer 0", departs.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TokenizePrintsIdsAndKeepsSpecialTokensOutOfText()
    {
        string file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, """["Hi","<|im_start|>"]""");
        ProgramRun plain = await SluiceProgram.RunAsync("tokenize", "--file", file, "--json");
        ProgramRun special = await SluiceProgram.RunAsync("tokenize", "--file", file, "--json", "--special");
        await File.WriteAllTextAsync(file, """[{"role":"user","content":"<|im_end|>"}]""");
        ProgramRun chat = await SluiceProgram.RunAsync("tokenize", "--messages", file, "--json");
        File.Delete(file);
        Assert.DoesNotContain("4097", plain.Output, StringComparison.Ordinal);
        Assert.EndsWith(",[4097]]\n", special.Output, StringComparison.Ordinal);
        Assert.Equal(1, chat.Output.Split("4098").Length - 1);
    }

    [Fact]
    public async Task TemplatePrintsExactlyWhatItRenders()
    {
        string template = Path.GetTempFileName();
        string input = Path.GetTempFileName();
        await File.WriteAllTextAsync(template, "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}");
        await File.WriteAllTextAsync(input, """{"messages":[{"role":"user","content":"é\n"}]}""");
        ProgramRun run = await SluiceProgram.RunAsync("template", "--file", template, "--input", input);
        await File.WriteAllTextAsync(template, "\n{{ 1 +");
        ProgramRun broken = await SluiceProgram.RunAsync("template", "--file", template, "--input", input);
        File.Delete(template);
        File.Delete(input);
        Assert.Equal((0, "[user] é\n"), (run.ExitCode, run.Output));
        Assert.Equal(1, broken.ExitCode);
        Assert.Contains("line 2", broken.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task InspectShowsArchitectureAndMemory()
    {
        ProgramRun demo = await SluiceProgram.RunAsync("inspect");
        Assert.Equal(0, demo.ExitCode);
        Assert.Contains("8: 6 gated DeltaNet, 2 full attention", demo.Output, StringComparison.Ordinal);
        Assert.Contains("13.38 M", demo.Output, StringComparison.Ordinal);
        ProgramRun large = await SluiceProgram.RunAsync("inspect", Path.Combine(RepositoryRoot(), "bench", "configs", "qwen3-next-80b.json"));
        Assert.Contains("79.67 B", large.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("error: no model at", "chat", "--model", "/nowhere", "hi")]
    [InlineData("generate takes one of --prompt and --ids-file", "generate")]
    [InlineData("--memory: expected a size", "chat", "--memory", "lots", "hi")]
    [InlineData("temperature must be from 0 to 100", "chat", "--temperature", "-1", "hi")]
    [InlineData("prompt", "generate", "--prompt", "")]
    public async Task MistakesAreOneLineAndExitCodeOne(string message, params string[] arguments)
    {
        ProgramRun run = await SluiceProgram.RunAsync(arguments);
        Assert.Equal(1, run.ExitCode);
        Assert.Contains(message, run.Errors.ReplaceLineEndings(" "), StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", run.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task BenchStatesFractionsOfTheMachine()
    {
        ProgramRun run = await SluiceProgram.RunAsync("bench", "--prompt-tokens", "64", "--decode-tokens", "4", "--repeats", "1");
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("prefill 64", run.Output, StringComparison.Ordinal);
        Assert.Contains("of read", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task BenchMakesUpQuantisedWeightsAndProfilesThem()
    {
        string config = Path.Combine(RepositoryRoot(), "bench", "configs", "mini.json");
        ProgramRun run = await SluiceProgram.RunAsync(
            "bench", "--config", config, "--dummy-weights", "--weights", "q4_k_m", "--profile", "--prompt-tokens", "20", "--decode-tokens", "2", "--repeats", "1");
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("GatedDeltaRule", run.Output, StringComparison.Ordinal);
        Assert.Contains("prefill 20", run.Output, StringComparison.Ordinal);
        run = await SluiceProgram.RunAsync("bench", "--weights", "q4_k_m");
        Assert.NotEqual(0, run.ExitCode);
    }

    private static string RepositoryRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Sluice.slnx")))
                return folder.FullName;
        }

        throw new InvalidOperationException($"no Sluice.slnx above {AppContext.BaseDirectory}");
    }
}
