using System.Globalization;
using System.Text.RegularExpressions;
using Sluice.Server.Access;

namespace Sluice.Server.Tests.Telemetry;

/// <summary>What <c>/metrics</c> says, read by the format's own rules.</summary>
public sealed partial class MetricsTests
{
    [Fact]
    public async Task Every_line_is_Prometheus_text_and_histograms_add_up()
    {
        await using TestServer server = await TestServer.StartAsync();
        _ = await server.ChatAsync("one two three");
        using (HttpResponseMessage stream = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("four five six", "\"stream\":true")))
            _ = await SseReader.ReadChunksAsync(stream);
        _ = await server.PostAsync("/v1/completions", "{}");
        _ = await server.GetAsync("/nothing");
        await server.LoggedAsync("GET (none) 404");
        Dictionary<string, double> samples = Parse((await server.GetAsync("/metrics")).Text);

        Assert.Equal(2, samples.Single(s => s.Key.StartsWith("gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name=\"chat\"", StringComparison.Ordinal)).Value);
        Assert.Equal(2, samples.Single(s => s.Key.StartsWith("gen_ai_server_time_per_output_token_seconds_count", StringComparison.Ordinal)).Value);
        Assert.Equal(2, samples.Single(s => s.Key.StartsWith("sluice_server_output_rate_per_second_count", StringComparison.Ordinal)).Value);
        Assert.True(samples["sluice_server_event_gap_seconds_count"] > 3);
        Assert.Equal(1, samples["sluice_server_requests_total{client=\"anonymous\",outcome=\"missing_required_parameter\"}"]);
        Assert.Equal(1, samples["sluice_server_requests_total{client=\"anonymous\",outcome=\"not_found\"}"]);
        Assert.Equal(2, samples["sluice_server_requests_total{client=\"anonymous\",outcome=\"stop\"}"]);
        Assert.Equal(
            EchoModel.Tokenizer.Encode("one two three").Length + EchoModel.Tokenizer.Encode("four five six").Length + 2,
            samples["sluice_server_tokens_total{client=\"anonymous\",gen_ai_token_type=\"output\"}"]);
        Assert.Equal(2, Sum(samples, "http_server_request_duration_seconds_count", "http_route=\"/v1/chat/completions\"", "http_response_status_code=\"200\""));
        Assert.Equal(1, Sum(samples, "http_server_request_duration_seconds_count", "http_route=\"/v1/completions\"", "http_response_status_code=\"400\""));
        Assert.Equal(2, samples["sluice_engine_requests_finished_total{reason=\"stop\"}"]);
        Assert.True(samples["sluice_engine_step_duration_seconds_count"] > 3);
        Assert.Equal(0, samples["sluice_engine_requests_running"]);
        Assert.Contains(samples, s => s.Key.StartsWith("kestrel_active_connections", StringComparison.Ordinal));
        Assert.Contains(samples, s => s.Key.StartsWith("dotnet_process_memory_working_set_bytes", StringComparison.Ordinal));
        foreach ((string name, double count) in samples.Where(s => s.Key.Contains("_bucket{", StringComparison.Ordinal) && s.Key.Contains("le=\"+Inf\"", StringComparison.Ordinal)))
        {
            string labels = name[(name.IndexOf('{', StringComparison.Ordinal) + 1)..^1].Replace(",le=\"+Inf\"", "", StringComparison.Ordinal).Replace("le=\"+Inf\"", "", StringComparison.Ordinal);
            string total = name[..name.IndexOf("_bucket", StringComparison.Ordinal)] + "_count" + (labels.Length > 0 ? $"{{{labels}}}" : "");
            Assert.Equal(samples[total], count);
        }
    }

    [Fact]
    public async Task Each_server_tells_of_itself_alone_and_of_clients_by_name()
    {
        const string Key = "sk-0123456789abcdefghij";
        await using TestServer other = await TestServer.StartAsync();
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { ApiKeys = [ApiKey.Of("alice", Key)] }, key: Key);
        _ = await other.ChatAsync("elsewhere");
        _ = await server.ChatAsync("here");
        _ = await server.ChatAsync("here");
        await server.LoggedAsync("output tokens");
        string metrics = (await server.GetAsync("/metrics")).Text;
        Assert.Contains("sluice_server_requests_total{client=\"alice\",outcome=\"stop\"} ", metrics, StringComparison.Ordinal);
        Assert.DoesNotContain("client=\"anonymous\",outcome=\"stop\"", metrics, StringComparison.Ordinal);
    }

    private static double Sum(Dictionary<string, double> samples, string name, params string[] labels) =>
        samples.Where(s => s.Key.StartsWith(name, StringComparison.Ordinal) && labels.All(l => s.Key.Contains(l, StringComparison.Ordinal))).Sum(s => s.Value);

    private static Dictionary<string, double> Parse(string text)
    {
        Assert.EndsWith("\n", text, StringComparison.Ordinal);
        var samples = new Dictionary<string, double>(StringComparer.Ordinal);
        var types = new HashSet<string>(StringComparer.Ordinal);
        string family = "";
        foreach (string line in text[..^1].Split('\n'))
        {
            if (line.StartsWith("# TYPE ", StringComparison.Ordinal))
            {
                family = line.Split(' ')[2];
                Assert.True(types.Add(family), $"two families of one name: {line}");
                continue;
            }

            if (line.StartsWith("# HELP ", StringComparison.Ordinal))
                continue;
            Match match = Sample().Match(line);
            Assert.True(match.Success, $"no sample: {line}");
            Assert.StartsWith(family, line, StringComparison.Ordinal);
            string value = match.Groups["value"].Value;
            Assert.True(samples.TryAdd(match.Groups["name"].Value, value == "+Inf" ? double.PositiveInfinity : double.Parse(value, CultureInfo.InvariantCulture)), $"twice: {line}");
        }

        return samples;
    }

    [GeneratedRegex("""^(?<name>[a-zA-Z_][a-zA-Z0-9_]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\.)*",?)*\})?) (?<value>[-+0-9.eEInf]+)$""", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex Sample();
}
