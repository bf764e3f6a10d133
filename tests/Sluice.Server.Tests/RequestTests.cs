using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Sluice.Engine;

namespace Sluice.Server.Tests;

/// <summary>What requests may say, and what becomes of those that say it wrong.</summary>
public sealed class RequestTests
{
    private const string Chat = "/v1/chat/completions";

    /// <summary>Fields of a chat request, and the parameter a 400 must name.</summary>
    public static TheoryData<string, string> InvalidFields => new()
    {
        { "\"temperature\":\"1\"", "temperature" },
        { "\"temperature\":-1", "temperature" },
        { "\"temperature\":1e309", "temperature" },
        { "\"temperature\":true", "temperature" },
        { "\"top_p\":0", "top_p" },
        { "\"top_p\":[1]", "top_p" },
        { "\"top_k\":1.5", "top_k" },
        { "\"top_k\":-2", "top_k" },
        { "\"min_p\":2", "min_p" },
        { "\"presence_penalty\":3", "presence_penalty" },
        { "\"frequency_penalty\":{}", "frequency_penalty" },
        { "\"repetition_penalty\":0", "repetition_penalty" },
        { "\"max_tokens\":0", "max_tokens" },
        { "\"max_tokens\":-5", "max_tokens" },
        { "\"max_tokens\":9223372036854775808", "max_tokens" },
        { "\"max_tokens\":\"5\"", "max_tokens" },
        { "\"max_completion_tokens\":0", "max_completion_tokens" },
        { "\"n\":129", "n" },
        { "\"n\":0", "n" },
        { "\"n\":1000000000", "n" },
        { "\"seed\":1.5", "seed" },
        { "\"stop\":5", "stop" },
        { "\"stop\":[1]", "stop[0]" },
        { "\"stop\":\"\"", "stop" },
        { "\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\",\"k\",\"l\",\"m\",\"n\",\"o\",\"p\",\"q\"]", "stop" },
        { "\"stream\":1", "stream" },
        { "\"stream_options\":{\"include_usage\":true}", "stream_options" },
        { "\"stream\":true,\"stream_options\":[]", "stream_options" },
        { "\"stream\":true,\"stream_options\":{\"include_usage\":\"yes\"}", "stream_options.include_usage" },
        { "\"logprobs\":5", "logprobs" },
        { "\"top_logprobs\":3", "top_logprobs" },
        { "\"logprobs\":true,\"top_logprobs\":21", "top_logprobs" },
        { "\"logprobs\":true,\"top_logprobs\":1000000", "top_logprobs" },
        { "\"logit_bias\":[1]", "logit_bias" },
        { "\"logit_bias\":{\"x\":1}", "logit_bias" },
        { "\"logit_bias\":{\"5\":\"1\"}", "logit_bias" },
        { "\"logit_bias\":{\"5\":101}", "logit_bias" },
        { "\"logit_bias\":{\"4224\":1}", "logit_bias" },
        { "\"tool_choice\":\"required\"", "tool_choice" },
        { "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}", "tool_choice" },
        { "\"tools\":{}", "tools" },
        { "\"tools\":[1]", "tools[0]" },
        { "\"tools\":[{\"type\":\"retrieval\"}]", "tools[0].type" },
        { "\"tools\":[{\"type\":\"function\"}]", "tools[0].function" },
        { "\"response_format\":{\"type\":\"jason\"}", "response_format.type" },
        { "\"functions\":[]", "functions" },
        { "\"model\":5", "model" },
        { "\"chat_template_kwargs\":[]", "chat_template_kwargs" },
        { "\"chat_template_kwargs\":{\"messages\":1}", "chat_template_kwargs" },
        { "\"chat_template_kwargs\":{\"tokenize\":true}", "chat_template_kwargs" },
        { "\"chat_template_kwargs\":{\"a b\":1}", "chat_template_kwargs" },
        { "\"chat_template_kwargs\":{\"enable_thinking\":true}", "chat_template_kwargs" },
        { "\"messages\":[]", "messages" },
        { "\"messages\":null", "messages" },
        { "\"messages\":\"hi\"", "messages" },
        { "\"messages\":[5]", "messages[0]" },
        { "\"messages\":[{\"content\":\"x\"}]", "messages[0].role" },
        { "\"messages\":[{\"role\":\"wizard\",\"content\":\"x\"}]", "messages[0].role" },
        { "\"messages\":[{\"role\":\"user\"}]", "messages[0].content" },
        { "\"messages\":[{\"role\":\"user\",\"content\":5}]", "messages[0].content" },
        { "\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]", "messages[0].content" },
        { "\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"\\ud800\":1}]", "messages[0]" },
        { "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://169.254.169.254\"}}]}]", "messages[0].content[0].type" },
        { "\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\"}]}]", "messages[0].tool_calls[0].function" },
        { "\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{}}}]}]", "messages[0].tool_calls[0].function.arguments" },
    };

    [Fact]
    [Trait("Check", "23")]
    [Trait("Check", "31")]
    [Trait("Check", "32")]
    public async Task Every_invalid_field_is_a_400_that_names_it()
    {
        await using TestServer server = await TestServer.StartAsync();
        foreach (var row in InvalidFields)
        {
            var (fields, parameter) = row.Data;
            var (response, body) = await server.PostAsync(Chat, TestServer.ChatBody("hi", fields));
            Assert.True(response.StatusCode == HttpStatusCode.BadRequest, $"{fields}: {response.StatusCode} {body}");
            JsonObject error = body["error"]!.AsObject();
            Assert.True((string?)error["param"] == parameter, $"{fields}: {error}");
            Assert.Equal("invalid_request_error", (string)error["type"]!);
            Assert.False(string.IsNullOrEmpty((string?)error["code"]));
            Assert.False(string.IsNullOrEmpty((string?)error["message"]));
            Assert.Equal(["code", "message", "param", "type"], error.Select(e => e.Key).Order());
            Assert.StartsWith("req-", response.Headers.GetValues("x-request-id").Single(), StringComparison.Ordinal);
        }

        Assert.Equal("alive", Content(await server.ChatAsync("alive")));
        await server.AssertIdleAsync();
    }

    [Fact]
    [Trait("Check", "30")]
    public async Task Unknown_and_null_fields_are_ignored()
    {
        await using TestServer server = await TestServer.StartAsync();
        string more = """
            "user":"me","metadata":{"a":[1]},"store":true,"service_tier":"auto","parallel_tool_calls":false,"frobnicate":{"deep":[{}]},
            "temperature":null,"top_p":null,"max_tokens":null,"stop":null,"seed":null,"n":null,"logprobs":null,"stream":null,
            "stream_options":null,"tools":null,"tool_choice":null,"logit_bias":null,"response_format":{"type":"text"}
            """;
        Assert.Equal("hi", Content(await server.ChatAsync("hi", more)));
    }

    [Theory]
    [InlineData("", 400)]
    [InlineData("{", 400)]
    [InlineData("[]", 400)]
    [InlineData("null", 400)]
    [InlineData("{}", 400)]
    [InlineData("{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud83d\"}]}", 400)]
    public async Task A_body_that_is_no_request_is_a_400(string json, int status)
    {
        await using TestServer server = await TestServer.StartAsync();
        foreach (string path in (string[])[Chat, "/v1/completions"])
        {
            var (response, body) = await server.PostAsync(path, json);
            Assert.Equal(status, (int)response.StatusCode);
            Assert.NotNull(body["error"]!["message"]);
        }
    }

    [Fact]
    [Trait("Check", "27")]
    [Trait("Check", "28")]
    public async Task Depth_bad_utf8_size_and_type_are_told_apart()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { MaxBodyBytes = 100_000 });
        Assert.Equal(400, await Status(server, Encoding.UTF8.GetBytes($"{{\"x\":{new string('[', 10_000)}"), "application/json"));
        Assert.Equal(400, await Status(server, [.. "{\"messages\":[{\"role\":\"user\",\"content\":\""u8, 0xFF, 0xC0, .. "\"}]}"u8], "application/json"));
        Assert.Equal(413, await Status(server, new byte[100_001], "application/json"));
        Assert.Equal(415, await Status(server, "{}"u8.ToArray(), "text/plain"));
        Assert.Equal(415, await Status(server, "{}"u8.ToArray(), null));
    }

    [Fact]
    [Trait("Check", "25")]
    [Trait("Check", "26")]
    public async Task Unknown_routes_methods_and_models_have_the_error_shape()
    {
        await using TestServer server = await TestServer.StartAsync();
        await AssertError(await server.Http.GetAsync(new Uri("/v2/nothing", UriKind.Relative)), 404, "not_found");
        await AssertError(await server.Http.GetAsync(new Uri(Chat, UriKind.Relative)), 405, "method_not_allowed");
        await AssertError(await server.Http.DeleteAsync(new Uri("/v1/models", UriKind.Relative)), 405, "method_not_allowed");
        await AssertError(await server.Http.GetAsync(new Uri("/v1/models/gpt-5", UriKind.Relative)), 404, "model_not_found");
        var (response, body) = await server.PostAsync(Chat, """{"model":"gpt-5","messages":[{"role":"user","content":"x"}]}""");
        Assert.Equal((404, "model_not_found", "model"), ((int)response.StatusCode, (string)body["error"]!["code"]!, (string)body["error"]!["param"]!));
    }

    [Fact]
    [Trait("Check", "22")]
    public async Task Context_overflow_has_its_code()
    {
        await using TestServer server = await TestServer.StartAsync(model: EchoModel.Create(maxPositions: 100));
        foreach (string body in (string[])[TestServer.ChatBody(string.Concat(Enumerable.Repeat("word ", 200))), TestServer.ChatBody("hi", "\"max_tokens\":100")])
        {
            var (response, error) = await server.PostAsync(Chat, body);
            Assert.Equal(400, (int)response.StatusCode);
            Assert.Equal("context_length_exceeded", (string)error["error"]!["code"]!);
            Assert.Contains("100 tokens", (string)error["error"]!["message"]!, StringComparison.Ordinal);
        }
    }

    [Fact]
    [Trait("Check", "29")]
    public async Task A_full_queue_is_a_429_with_retry_after()
    {
        using var gate = new SemaphoreSlim(0);
        await using TestServer server = await TestServer.StartAsync(engineOptions: new EngineOptions { MaxRunning = 1, MaxQueued = 1 });
        server.Model.OnForward = _ => gate.Wait(10_000);
        Task<JsonNode> first = server.ChatAsync("one"), second = server.ChatAsync("two");
        while (server.Engine.Status is not { Running: 1, Waiting: 1 })
            await Task.Delay(5);
        var (response, body) = await server.PostAsync(Chat, TestServer.ChatBody("three"));
        Assert.Equal(429, (int)response.StatusCode);
        Assert.Equal("rate_limit_error", (string)body["error"]!["type"]!);
        Assert.NotNull(response.Headers.RetryAfter);
        gate.Release(1000);
        Assert.Equal(["one", "two"], (await Task.WhenAll(first, second)).Select(Content));
    }

    [Fact]
    [Trait("Check", "51")]
    public async Task Models_are_listed_and_retrieved()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode list = JsonNode.Parse(await server.Http.GetStringAsync(new Uri("/v1/models", UriKind.Relative)))!;
        Assert.Equal("list", (string)list["object"]!);
        JsonNode one = JsonNode.Parse(await server.Http.GetStringAsync(new Uri($"/v1/models/{TestServer.ModelId}", UriKind.Relative)))!;
        Assert.True(JsonNode.DeepEquals(one, list["data"]![0]));
        Assert.Equal((TestServer.ModelId, "model", "sluice", 8192), ((string)one["id"]!, (string)one["object"]!, (string)one["owned_by"]!, (int)one["max_model_len"]!));
        Assert.True((long)one["created"]! > 1_700_000_000);
    }

    [Fact]
    [Trait("Check", "29")]
    public async Task Health_says_what_runs()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode health = JsonNode.Parse(await server.Http.GetStringAsync(new Uri("/health", UriKind.Relative)))!;
        Assert.Equal(("ok", 0, 0), ((string)health["status"]!, (int)health["running"]!, (int)health["waiting"]!));
        await server.Engine.DisposeAsync();
        Assert.Equal(503, (int)(await server.Http.GetAsync(new Uri("/health", UriKind.Relative))).StatusCode);
        var (response, body) = await server.PostAsync(Chat, TestServer.ChatBody("hi"));
        Assert.Equal((503, "shutting_down"), ((int)response.StatusCode, (string)body["error"]!["code"]!));
    }

    [Fact]
    public async Task No_prompt_or_answer_is_logged()
    {
        await using TestServer server = await TestServer.StartAsync();
        const string Secret = "xyzzy-sentinel";
        _ = await server.ChatAsync(Secret);
        _ = await server.PostAsync(Chat, TestServer.ChatBody(Secret, $"\"temperature\":\"{Secret}\""));
        _ = await server.PostAsync(Chat, TestServer.ChatBody(Secret, $"\"chat_template_kwargs\":{{\"{Secret} \":1}}"));
        _ = await server.PostAsync(Chat, $$"""{"messages":[{"role":"{{Secret}}","content":"x"}]}""");
        _ = await server.PostAsync(Chat, $"{{\"{Secret}\":");
        _ = await server.PostAsync("/v1/completions", $$"""{"prompt":"{{Secret}}"}""");
        Assert.Contains(server.Log, l => l.Contains("output tokens", StringComparison.Ordinal));
        Assert.DoesNotContain(server.Log, l => l.Contains("xyzzy", StringComparison.Ordinal));
    }

    internal static string Content(JsonNode body) => (string)body["choices"]![0]!["message"]!["content"]!;

    private static async Task<int> Status(TestServer server, byte[] body, string? type)
    {
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = type is null ? null : new(type);
        using HttpResponseMessage response = await server.Http.PostAsync(new Uri(Chat, UriKind.Relative), content);
        Assert.NotNull(JsonNode.Parse(await response.Content.ReadAsStringAsync())!["error"]!["code"]);
        return (int)response.StatusCode;
    }

    private static async Task AssertError(HttpResponseMessage response, int status, string code)
    {
        JsonNode error = JsonNode.Parse(await response.Content.ReadAsStringAsync())!["error"]!;
        Assert.Equal((status, code), ((int)response.StatusCode, (string)error["code"]!));
        Assert.Equal("invalid_request_error", (string)error["type"]!);
    }
}
