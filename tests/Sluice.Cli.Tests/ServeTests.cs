using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.RegularExpressions;

namespace Sluice.Cli.Tests;

/// <summary><c>sluice serve</c> as an operator meets it: settings, keys, and SIGTERM.</summary>
public sealed partial class ServeTests
{
    private const string Key = "sk-0123456789abcdefghij";

    [Theory]
    [InlineData("--port", "abc", "Sluice:Port (from --port): expected a whole number, found 'abc'")]
    [InlineData("--host", "example", "Sluice:Host (from --host): expected an IP address")]
    [InlineData("--max-sequences", "0", "Sluice:MaxSequences (from --max-sequences): must be at least 1")]
    [InlineData("--memory", "lots", "Sluice:Memory (from --memory): expected a size such as 8GiB")]
    [InlineData("--kv-dtype", "int4", "Sluice:KvDtype (from --kv-dtype): expected one of auto, float32")]
    [InlineData("--activations", "1", "Sluice:Activations (from --activations): expected one of fast, float32")]
    [InlineData("--numa", "on", "Sluice:Numa (from --numa): expected one of auto, off, found 'on'")]
    [InlineData("--packed-weights", " ", "packed weights: expected off, beside or a folder")]
    [InlineData("--drain-delay", "soon", "Sluice:DrainDelay (from --drain-delay): expected a time such as 30s")]
    [InlineData("--config", "/no/such.json", "/no/such.json is not there")]
    [InlineData("--api-key", "xyzzy", "expected from 16 to 512 characters, found 5")]
    public async Task A_setting_that_is_wrong_is_one_line_and_ends_the_program(string flag, string value, string message)
    {
        ProgramRun run = await SluiceProgram.RunAsync("serve", flag, value);
        Assert.Equal(1, run.ExitCode);
        string errors = run.Errors.ReplaceLineEndings(" "); // the terminal's width wraps lines
        Assert.StartsWith("error: ", errors, StringComparison.Ordinal);
        Assert.Contains(message, errors, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", errors, StringComparison.Ordinal);
        Assert.DoesNotContain("xyzzy", run.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Sigterm_ends_readiness_then_the_streams_and_then_the_program_well()
    {
        if (OperatingSystem.IsWindows())
            Assert.Skip("there are no signals");
        using Process process = SluiceProgram.Start("serve", "--port", "0", "--api-key", Key, "--drain-delay", "500ms", "--max-sequences", "4", "--memory", "64MiB");
        var output = new StringBuilder();
        Uri address = await AddressAsync(process, output);
        _ = process.StandardError.ReadToEndAsync();
        Task<string> rest = process.StandardOutput.ReadToEndAsync();
        using var http = new HttpClient { BaseAddress = address };
        Assert.Equal(401, (int)(await http.GetAsync(new Uri("/v1/models", UriKind.Relative))).StatusCode);
        Assert.Equal(200, (int)(await http.GetAsync(new Uri("/health/ready", UriKind.Relative))).StatusCode);
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Key);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = new StringContent("""{"prompt":"The","max_tokens":600,"stream":true,"temperature":1.5,"logit_bias":{"4098":-100,"4096":-100}}""", Encoding.UTF8, "application/json"),
        };
        using HttpResponseMessage stream = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.True(stream.IsSuccessStatusCode);
        using (var kill = Process.Start("kill", $"-TERM {process.Id.ToString(CultureInfo.InvariantCulture)}"))
            await kill.WaitForExitAsync();
        await Task.Delay(100);
        Assert.Equal(503, (int)(await http.GetAsync(new Uri("/health/ready", UriKind.Relative))).StatusCode);
        Assert.EndsWith("data: [DONE]\n\n", await stream.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await process.WaitForExitAsync(patience.Token);
        Assert.Equal(0, process.ExitCode);
        output.Append(await rest);
        Assert.DoesNotContain(Key, output.ToString(), StringComparison.Ordinal);
    }

    internal static async Task<Uri> AddressAsync(Process process, StringBuilder output)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        while (await process.StandardOutput.ReadLineAsync(patience.Token) is { } line)
        {
            output.AppendLine(line);
            if (Address().Match(line) is { Success: true } match)
                return new Uri(match.Value);
        }

        throw new InvalidOperationException($"the server did not start: {output}");
    }

    [GeneratedRegex(@"http://127\.0\.0\.1:\d+", RegexOptions.NonBacktracking)]
    private static partial Regex Address();
}
