using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Sluice.Testing;

namespace Sluice.Cli.Tests;

/// <summary><c>sluice quantize</c>: every target, out of folders and of files, and on disks that are too small.</summary>
public sealed class QuantizeTests : IDisposable
{
    private static readonly string Expected = TestData.At("demo", "long.safetensors");

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_GGUF_file_is_one_that_every_command_takes()
    {
        string file = _folder.At("small.gguf");
        ProgramRun run = await SluiceProgram.RunAsync("quantize", "--to", "q4_k_m", "--out", file);
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("bits a weight; was 28.4 MiB", run.Output, StringComparison.Ordinal);
        Assert.InRange(new FileInfo(file).Length, 9_000_000, 11_000_000);

        Assert.Equal((0, "Returns the path of the current user's temporary folder.\n"), await AnswerOfAsync(file));
        ProgramRun inspect = await SluiceProgram.RunAsync("inspect", file);
        Assert.Equal(0, inspect.ExitCode);
        Assert.Contains("Q4_K", inspect.Output, StringComparison.Ordinal);
        Assert.Contains("bits a weight", inspect.Output, StringComparison.Ordinal);
        ProgramRun tokens = await SluiceProgram.RunAsync("tokenize", "--model", file, "--text", "<think> é", "--special", "--json");
        Assert.Equal(await SluiceProgram.RunAsync("tokenize", "--text", "<think> é", "--special", "--json"), tokens);
        Assert.InRange(await PerplexityOfAsync(file), 2.6, 2.7);
        ProgramRun load = await SluiceProgram.RunAsync("bench", "--load", file);
        Assert.Equal(0, load.ExitCode);

        ProgramRun itself = await SluiceProgram.RunAsync("quantize", "--model", file, "--to", "q8_0", "--out", file);
        Assert.Equal(1, itself.ExitCode);
        Assert.Contains("is the model itself", itself.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_link_to_the_model_is_the_model()
    {
        string model = _folder.At("model"), link = _folder.At("link");
        Directory.CreateDirectory(model);
        foreach (string file in Directory.EnumerateFiles(TestData.At("random", "next-moe")))
            File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        Directory.CreateSymbolicLink(link, model);
        byte[] weights = await File.ReadAllBytesAsync(Path.Combine(model, "model.safetensors"));
        foreach ((string from, string to) in ((string, string)[])[(model, link), (link, model), (model, model + "/.")])
        {
            ProgramRun run = await SluiceProgram.RunAsync("quantize", "--model", from, "--to", "fp8", "--out", to);
            Assert.Equal(1, run.ExitCode);
            Assert.Contains("is the model itself", run.Errors, StringComparison.Ordinal);
        }

        Assert.Equal(weights, await File.ReadAllBytesAsync(Path.Combine(model, "model.safetensors")));
    }

    /// <summary>The demonstration model by way of Q8_0 to FP8 is one that every command takes, and as sure as its FP8 made at once.</summary>
    [Fact]
    public async Task FP8_is_made_of_files_as_of_folders()
    {
        (string file, string atOnce, string byWayOfFile) = (_folder.At("q8.gguf"), _folder.At("at-once"), _folder.At("by-way-of-file"));
        Assert.Equal(0, (await SluiceProgram.RunAsync("quantize", "--to", "fp8", "--out", atOnce)).ExitCode);
        Assert.Equal(0, (await SluiceProgram.RunAsync("quantize", "--to", "q8_0", "--out", file)).ExitCode);
        ProgramRun run = await SluiceProgram.RunAsync("quantize", "--model", file, "--to", "fp8", "--out", byWayOfFile + "/");
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("9.34 bits a weight; was 13.9 MiB", run.Output, StringComparison.Ordinal);

        Assert.Equal(await AnswerOfAsync(atOnce), await AnswerOfAsync(byWayOfFile));
        double difference = await PerplexityOfAsync(byWayOfFile) / await PerplexityOfAsync(atOnce);
        Assert.InRange(difference, 0.998, 1.002);

        string strings = _folder.At("strings.json");
        await File.WriteAllTextAsync(strings, new JsonArray("<|im_start|>e\u0301<think>", "  \n\r\n a\u0323\u0307 42 'S 한국 👨‍👩‍👧‍👦", "#version \0 \u2028<tool_call>", "").ToJsonString());
        string[] arguments = ["--file", strings, "--special", "--json"];
        Assert.Equal(await SluiceProgram.RunAsync(["tokenize", "--model", file, .. arguments]), await SluiceProgram.RunAsync(["tokenize", "--model", byWayOfFile, .. arguments]));

        // A closing slash does not hide that it would be written over itself, mapped as it is.
        ProgramRun itself = await SluiceProgram.RunAsync("quantize", "--model", atOnce, "--to", "fp8", "--out", atOnce + "/");
        Assert.Equal(1, itself.ExitCode);
        Assert.Contains("is the model itself", itself.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_tokenizer_that_no_folder_can_have_is_refused_before_anything_is_written()
    {
        string file = _folder.At("q8.gguf");
        Assert.Equal(0, (await SluiceProgram.RunAsync("quantize", "--to", "q8_0", "--out", file)).ExitCode);
        byte[] bytes = await File.ReadAllBytesAsync(file);
        int key = bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes("tokenizer.ggml.pre"));
        "other"u8.CopyTo(bytes.AsSpan(key + bytes.AsSpan(key).IndexOf("qwen2"u8)));
        await File.WriteAllBytesAsync(file, bytes);
        ProgramRun run = await SluiceProgram.RunAsync("quantize", "--model", file, "--to", "fp8", "--out", _folder.At("fp8"));
        Assert.Equal(1, run.ExitCode);
        Assert.StartsWith("error: tokenizer.ggml.pre: \"other\" is not implemented", run.Errors, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.At("fp8")));
    }

    /// <summary>In the midst of writing, as when a disk fills: the exit code says so, and only what was there before is there.</summary>
    [Theory]
    [InlineData("q8_0")]
    [InlineData("q5_k_m")]
    [InlineData("q4_k_m")]
    [InlineData("bf16")]
    [InlineData("f32")]
    [InlineData("fp8")]
    public async Task What_cannot_be_written_leaves_nothing(string to)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "the limit is Linux's");
        ProgramRun run = await SluiceProgram.RunWithFileLimitAsync(5000, "quantize", "--to", to, "--out", _folder.At("new"));
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("error: " + _folder.At("new"), run.Errors, StringComparison.Ordinal);
        Assert.Contains("cannot be written", run.Errors.ReplaceLineEndings(" "), StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", run.Errors, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
    }

    private static async Task<(int ExitCode, string Output)> AnswerOfAsync(string model)
    {
        ProgramRun run = await SluiceProgram.RunAsync("chat", "--model", model, "--temperature", "0", "What does Path.GetTempPath do?");
        return (run.ExitCode, run.Output);
    }

    private static async Task<double> PerplexityOfAsync(string model)
    {
        ProgramRun run = await SluiceProgram.RunAsync("verify", "--model", model, "--expected", Expected, "--tolerance", "1e9");
        Assert.Equal(0, run.ExitCode);
        string[] words = run.Output.Split((char[])[' ', '\n', ','], StringSplitOptions.RemoveEmptyEntries);
        return double.Parse(words[Array.IndexOf(words, "perplexity") + 1], CultureInfo.InvariantCulture);
    }
}
