using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Sluice.Checkpoints;
using Sluice.Testing;

namespace Sluice.Cli.Tests;

/// <summary>
/// What <c>sluice inspect</c> says that a model takes is what <c>sluice serve</c> then has resident: no second copy of the weights, none in more bits than it says,
/// and nothing that loading leaves behind.
/// </summary>
public sealed partial class ResidentMemoryTests(ITestOutputHelper output)
{
    private const double MiB = 1 << 20;

    /// <summary>A model large enough that the program is the smaller part, 0.6 GB in BF16.</summary>
    private const string Config =
        """
        {
          "model_type": "qwen3_next", "torch_dtype": "bfloat16", "hidden_act": "silu", "vocab_size": 32768, "hidden_size": 1024, "intermediate_size": 1024,
          "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 128, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
          "rope_theta": 10000000, "partial_rotary_factor": 0.25, "full_attention_interval": 4, "linear_num_key_heads": 8, "linear_num_value_heads": 16,
          "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4, "num_experts": 32, "num_experts_per_tok": 4,
          "moe_intermediate_size": 256, "shared_expert_intermediate_size": 256, "tie_word_embeddings": false
        }
        """;

    [Fact]
    public async Task Served_models_take_what_inspect_says()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "/proc tells");
        using TemporaryFolder folder = new();
        string model = Path.Combine(folder.Path, "model");
        SyntheticCheckpoint.Write(model, ModelConfigReader.Read(Encoding.UTF8.GetBytes(Config)));
        foreach (string file in new[] { "tokenizer.json", "tokenizer_config.json" })
            File.Copy(Path.Combine(AppContext.BaseDirectory, "models", "demo", file), Path.Combine(model, file));
        await CheckAsync(model, "96MiB");

        // Quantised weights are packed with factors of their own and columns in whole superblocks.
        string quantised = Path.Combine(folder.Path, "model.gguf");
        Assert.Equal(0, (await SluiceProgram.RunAsync("quantize", "--model", model, "--to", "q8_0", "--out", quantised)).ExitCode);
        await CheckAsync(quantised, "96MiB");

        // Mapped pages count as resident, and are not there twice.
        string[] kept = ["--packed-weights", "beside"];
        Assert.Equal(0, (await SluiceProgram.RunAsync(["generate", "--model", quantised, "--prompt", "The", "--max-tokens", "1", "--memory", "96MiB", .. kept])).ExitCode);
        await CheckAsync(quantised, "96MiB", kept);
    }

    /// <summary>The demonstration model, of which the program is the larger part: what is kept ready, and memory that pages round up, must be counted.</summary>
    [Theory]
    [InlineData(null)]
    [InlineData("q8_0")]
    [InlineData("q4_k_m")]
    public async Task Small_models_take_what_inspect_says(string? type)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "/proc tells");
        using TemporaryFolder folder = new();
        string model = type is null ? TestData.DemoModel : folder.At("model.gguf");
        if (type is not null)
            Assert.Equal(0, (await SluiceProgram.RunAsync("quantize", "--to", type, "--out", model)).ExitCode);
        await CheckAsync(model, "1GiB");
    }

    private async Task CheckAsync(string model, string memory, params string[] further)
    {
        ProgramRun inspected = await SluiceProgram.RunAsync("inspect", model, "--memory", memory);
        Match said = OnTheCpu().Match(Regex.Replace(inspected.Output, @"\s+", " ", RegexOptions.None, TimeSpan.FromSeconds(1)));
        Assert.True(said.Success, inspected.Output);
        double weights = Bytes(said, 1), activations = Bytes(said, 2), ready = Bytes(said, 3), program = Bytes(said, 4);
        using Process process = SluiceProgram.Start(["serve", "--port", "0", "--model", model, "--memory", memory, "--max-sequences", "64", "--threads", "2", .. further]);
        try
        {
            using var http = new HttpClient { BaseAddress = await ServeTests.AddressAsync(process, new StringBuilder()), Timeout = TimeSpan.FromMinutes(5) };
            _ = process.StandardError.ReadToEndAsync();
            _ = process.StandardOutput.ReadToEndAsync();

            // Steps as large as they get, so that all activations have been used; each prompt another, so that nothing of it is in the cache.
            for (int request = 1; request <= 3; request++)
            {
                var body = new JsonObject { ["prompt"] = new JsonArray([.. Enumerable.Range(0, 600).Select(i => (JsonNode)(5 + (i * request % 4000)))]), ["max_tokens"] = 8, ["temperature"] = 0 };
                using HttpResponseMessage answer = await http.PostAsJsonAsync("/v1/completions", body);
                Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
            }

            // What is kept ready is made so beside requests, from a second after the first on.
            double resident = 0;
            for (int i = 0; i < 20; i++)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(i == 0 ? 2000 : 500));
                (double before, resident) = (resident, ResidentBytes(process.Id));
                if (Math.Abs(resident - before) < MiB)
                    break;
            }

            JsonNode cache = JsonNode.Parse(await http.GetStringAsync(new Uri("/debug/cache", UriKind.Relative)))!["memory"]!;
            double kvAndStates = cache["total"]!.GetValue<double>() - cache["free"]!.GetValue<double>();
            double expected = weights + activations + ready + program + kvAndStates;
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{resident / MiB:F0} MiB resident, {expected / MiB:F0} expected: {weights / MiB:F0} weights, {activations / MiB:F0} activations, {ready / MiB:F0} ready, {program / MiB:F0} program, {kvAndStates / MiB:F0} KV and states"));
            Assert.InRange(resident, 0.93 * expected, 1.05 * expected); // inspect says "up to"
        }
        finally
        {
            process.Kill();
        }
    }

    private static double ResidentBytes(int process)
    {
        string line = File.ReadLines($"/proc/{process.ToString(CultureInfo.InvariantCulture)}/status").Single(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return 1024 * double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }

    private static double Bytes(Match match, int number) =>
        double.Parse(match.Groups[$"n{number}"].Value, CultureInfo.InvariantCulture) * (match.Groups[$"u{number}"].Value == "GiB" ? 1024 * MiB : MiB);

    [GeneratedRegex("on the CPU (?<n1>[0-9.]+) (?<u1>[MG]iB) packed, up to (?<n2>[0-9.]+) (?<u2>[MG]iB) of activations, up to (?<n3>[0-9.]+) (?<u3>[MG]iB) kept ready for KV and states, about (?<n4>[0-9.]+) (?<u4>[MG]iB) for the program", RegexOptions.NonBacktracking)]
    private static partial Regex OnTheCpu();
}
