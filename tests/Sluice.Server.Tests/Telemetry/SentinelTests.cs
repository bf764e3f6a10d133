using System.Diagnostics;
using System.Text.Json.Nodes;
using Sluice.Server.Access;

namespace Sluice.Server.Tests.Telemetry;

/// <summary>What clients write, what the model answers and what opens the server stay out of logs, metrics, traces and errors.</summary>
public sealed class SentinelTests
{
    private const string Prompt = "xyzzy-prompt", Key = "xyzzy-sentinel-key-0123456789";

    [Fact]
    public async Task No_prompt_answer_or_key_is_told_anywhere()
    {
        var spans = new List<string>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name is "Sluice.Server" or "Microsoft.AspNetCore",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity =>
            {
                lock (spans)
                    spans.Add($"{activity.DisplayName} {activity.StatusDescription} {string.Join(' ', activity.TagObjects)}");
            },
        };
        ActivitySource.AddActivityListener(listener);
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { ApiKeys = [ApiKey.Of("alice", Key)] }, key: Key);
        var errors = new List<string>();
        async Task PostAsync(string path, string json)
        {
            var (response, body) = await server.PostAsync(path, json);
            if (!response.IsSuccessStatusCode)
                errors.Add(body.ToJsonString());
        }

        string chat = "/v1/chat/completions";
        await PostAsync(chat, TestServer.ChatBody(Prompt));
        foreach (string field in (string[])["temperature", "model", "stop", "seed", "stream", "tools", "logit_bias", "stream_options", "response_format"])
            await PostAsync(chat, TestServer.ChatBody(Prompt, $"\"{field}\":\"{Prompt}\""));
        await PostAsync(chat, TestServer.ChatBody(Prompt, $"\"chat_template_kwargs\":{{\"{Prompt} \":1}}"));
        await PostAsync(chat, TestServer.ChatBody(Prompt, $"\"logit_bias\":{{\"{Prompt}\":1}}"));
        await PostAsync(chat, $$"""{"messages":[{"role":"{{Prompt}}","content":"x"}]}""");
        await PostAsync(chat, $"{{\"{Prompt}\":");
        await PostAsync(chat, TestServer.ChatBody($"#poison 1 {Prompt}"));
        await PostAsync("/v1/completions", $$"""{"prompt":"{{Prompt}}","max_tokens":3}""");
        await PostAsync("/tokenize", $$"""{"prompt":["{{Prompt}}"]}""");
        await PostAsync("/detokenize", $$"""{"tokens":["{{Prompt}}"]}""");
        errors.Add((await server.GetAsync($"/v1/models/{Prompt}")).Text);
        errors.Add((await server.GetAsync($"/{Prompt}?{Prompt}={Prompt}")).Text);
        server.Http.DefaultRequestHeaders.Authorization = new("Bearer", Key + "-wrong");
        await PostAsync(chat, TestServer.ChatBody(Prompt));
        server.Http.DefaultRequestHeaders.Authorization = new("Bearer", Key);
        await server.LoggedAsync("anonymous POST", "invalid_api_key");
        string metrics = (await server.GetAsync("/metrics")).Text;
        await server.App.StopAsync(TestContext.Current.CancellationToken);

        Assert.True(errors.Count > 10 && spans.Count > 10 && server.Log.Count > 20);
        foreach (string told in errors.Concat(spans).Concat(server.Log.Where(IsOurs)).Append(metrics))
            Assert.False(told.Contains("xyzzy", StringComparison.OrdinalIgnoreCase), told);
    }

    [Fact]
    public async Task A_request_is_one_line()
    {
        await using TestServer server = await TestServer.StartAsync();
        _ = await server.ChatAsync("one");
        _ = await server.PostAsync("/v1/chat/completions", "{");
        using (HttpResponseMessage stream = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("two", "\"stream\":true")))
            _ = await SseReader.ReadChunksAsync(stream);
        using (HttpResponseMessage left = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("#endless", "\"stream\":true")))
        {
        }

        await server.LoggedAsync("client_left");
        string[] lines = [.. server.Log.Where(l => l.StartsWith("Information Sluice.Server req-", StringComparison.Ordinal))];
        Assert.Equal(4, lines.Length);
        Assert.Equal(4, lines.Select(l => l.Split(' ')[2]).Distinct().Count());
        Assert.All(lines, l => Assert.Contains(" anonymous POST /v1/chat/completions ", l, StringComparison.Ordinal));
        Assert.Equal(2, lines.Count(l => l.Contains("stop: ", StringComparison.Ordinal) && l.Contains("output tokens", StringComparison.Ordinal)));
        Assert.Contains(lines, l => l.Contains(" 400 in ", StringComparison.Ordinal) && l.Contains("invalid_json", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_generation_is_a_span_inside_its_request()
    {
        var spans = new List<Activity>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name is "Sluice.Server" or "Microsoft.AspNetCore",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity =>
            {
                lock (spans)
                    spans.Add(activity);
            },
        };
        ActivitySource.AddActivityListener(listener);
        await using TestServer server = await TestServer.StartAsync();
        const string Trace = "0af7651916cd43dd8448eb211c80319c";
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/chat/completions") { Content = new StringContent(TestServer.ChatBody("hi"), System.Text.Encoding.UTF8, "application/json") };
        request.Headers.Add("traceparent", $"00-{Trace}-b7ad6b7169203331-01");
        JsonNode usage = JsonNode.Parse(await (await server.Http.SendAsync(request)).Content.ReadAsStringAsync())!["usage"]!;
        Activity[] own;
        do
        {
            await Task.Delay(10);
            lock (spans)
                own = [.. spans.Where(s => s.TraceId.ToHexString() == Trace)];
        }
        while (own.Length < 2);
        Activity generation = own.Single(s => s.Source.Name == "Sluice.Server"), whole = own.Single(s => s.Source.Name == "Microsoft.AspNetCore");
        Assert.Equal(whole.SpanId, generation.ParentSpanId);
        Assert.Equal("POST /v1/chat/completions", whole.DisplayName);
        Assert.Equal("chat echo", generation.DisplayName);
        Assert.Equal("chat", generation.GetTagItem("gen_ai.operation.name"));
        Assert.Equal("echo", generation.GetTagItem("gen_ai.request.model"));
        Assert.Equal((int)usage["prompt_tokens"]!, generation.GetTagItem("gen_ai.usage.input_tokens"));
        Assert.Equal((int)usage["completion_tokens"]!, generation.GetTagItem("gen_ai.usage.output_tokens"));
        Assert.Equal(["stop"], (string[])generation.GetTagItem("gen_ai.response.finish_reasons")!);
    }

    // Below Information, Kestrel's own lines may name what a client wrote: SluiceServer switches them off, this test's logger on.
    private static bool IsOurs(string line) => line.Contains(" Sluice.Server ", StringComparison.Ordinal) || !line.StartsWith("Debug", StringComparison.Ordinal) && !line.StartsWith("Trace", StringComparison.Ordinal);
}
