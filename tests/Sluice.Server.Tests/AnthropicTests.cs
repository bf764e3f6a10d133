using System.Text.Json.Nodes;

namespace Sluice.Server.Tests;

/// <summary><c>/v1/messages</c>.</summary>
public sealed class AnthropicTests
{
    private const string Path = "/v1/messages";
    private const string Tools = """ "tools":[{"name":"add","description":"Adds.","input_schema":{"type":"object"}}] """;

    [Fact]
    [Trait("Check", "54")]
    public async Task A_message_has_all_its_fields()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode body = await CreateAsync(server, "Hello there");
        Assert.Equal(("message", "assistant", "end_turn"), ((string)body["type"]!, (string)body["role"]!, (string)body["stop_reason"]!));
        Assert.True(body.AsObject().TryGetPropertyValue("stop_sequence", out JsonNode? sequence) && sequence is null);
        Assert.Equal("""[{"type":"text","text":"Hello there"}]""", body["content"]!.ToJsonString());
        Assert.Equal(["cache_creation_input_tokens", "cache_read_input_tokens", "input_tokens", "output_tokens"], body["usage"]!.AsObject().Select(u => u.Key).Order());

        JsonNode count = await PostAsync(server, Path + "/count_tokens", Body("Hello there", ""));
        Assert.Equal((int)body["usage"]!["input_tokens"]!, (int)count["input_tokens"]!);
    }

    [Fact]
    public async Task What_is_newly_kept_up_to_a_mark_is_told_once()
    {
        await using TestServer server = await TestServer.StartAsync();
        string system = string.Concat(Enumerable.Repeat("You are a helpful assistant of a shop. ", 20));
        string more = "\"system\":[{\"type\":\"text\",\"text\":\"" + system + "\",\"cache_control\":{\"type\":\"ephemeral\"}}]";
        JsonNode first = (await CreateAsync(server, "one", more))["usage"]!, second = (await CreateAsync(server, "two", more))["usage"]!;
        int created = (int)first["cache_creation_input_tokens"]!;
        Assert.True(created > 100, first.ToJsonString());
        Assert.Equal(0, (int)first["cache_read_input_tokens"]!);
        Assert.Equal((0, created), ((int)second["cache_creation_input_tokens"]!, (int)second["cache_read_input_tokens"]!));
        JsonNode count = await PostAsync(server, Path + "/count_tokens", Body("one", more));
        Assert.Equal((int)count["input_tokens"]!, created + (int)first["input_tokens"]!);

        // The end of a stream says the same.
        string other = more.Replace("shop", "bank", StringComparison.Ordinal);
        JsonNode streamed = (await StreamAsync(server, "three", other)).Single(e => (string)e["type"]! == "message_delta")["usage"]!;
        Assert.True((int)streamed["cache_creation_input_tokens"]! > 100, streamed.ToJsonString());
        Assert.Equal((int)(await PostAsync(server, Path + "/count_tokens", Body("three", other)))["input_tokens"]!, (int)streamed["cache_creation_input_tokens"]! + (int)streamed["input_tokens"]!);
    }

    [Theory]
    [InlineData("\"stop_sequences\":[\"xx\",\"three\"]", "one two ", "stop_sequence", "three")]
    [InlineData("\"max_tokens\":2", null, "max_tokens", null)]
    public async Task Endings_are_told_apart(string more, string? text, string reason, string? sequence)
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode body = await CreateAsync(server, "one two three", more);
        Assert.Equal((reason, sequence), ((string)body["stop_reason"]!, (string?)body["stop_sequence"]));
        if (text is not null)
            Assert.Equal(text, (string)body["content"]![0]!["text"]!);
    }

    [Fact]
    [Trait("Check", "54")]
    public async Task Events_are_named_and_in_order()
    {
        await using TestServer server = await TestServer.StartAsync();
        const string Text = "<think>\nhm 🙂\n</think>\n\nCalling.\n" + "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>";
        List<JsonNode> events = await StreamAsync(server, Text, Tools);
        string[] types = [.. events.Select(e => (string)e["type"]!)];
        Assert.Equal(["message_start", "ping"], types[..2]);
        Assert.Equal(["message_delta", "message_stop"], types[^2..]);
        Assert.Equal("[]", events[0]["message"]!["content"]!.ToJsonString());
        Assert.True((int)events[0]["message"]!["usage"]!["input_tokens"]! > 0);

        JsonNode[] starts = [.. events.Where(e => (string)e["type"]! == "content_block_start")];
        Assert.Equal(["thinking", "text", "tool_use"], starts.Select(s => (string)s["content_block"]!["type"]!));
        Assert.Equal("{}", starts[2]["content_block"]!["input"]!.ToJsonString());
        for (int index = 0; index < 3; index++)
        {
            string[] own = [.. events.Where(e => (int?)e["index"] == index).Select(e => (string)e["type"]!)];
            Assert.Equal("content_block_start", own[0]);
            Assert.Equal("content_block_stop", own[^1]);
            Assert.All(own[1..^1], t => Assert.Equal("content_block_delta", t));
        }

        string Deltas(string field) => string.Concat(events.Select(e => (string?)e["delta"]?[field])).Trim();
        Assert.Equal(("hm 🙂", "Calling.", "{\"a\": 1}"), (Deltas("thinking"), Deltas("text"), Deltas("partial_json")));
        Assert.Equal("tool_use", (string)events[^2]["delta"]!["stop_reason"]!);
        Assert.True((int)events[^2]["usage"]!["output_tokens"]! > 5);

        JsonNode whole = await CreateAsync(server, Text, Tools);
        Assert.Equal(["thinking", "text", "tool_use"], whole["content"]!.AsArray().Select(b => (string)b!["type"]!));
        Assert.Equal(1, (int)whole["content"]![2]!["input"]!["a"]!);
        Assert.Equal("tool_use", (string)whole["stop_reason"]!);
    }

    [Fact]
    [Trait("Check", "54")]
    public async Task Silence_is_pings_and_a_late_failure_an_error_event()
    {
        using var gate = new SemaphoreSlim(0);
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { KeepAliveInterval = TimeSpan.FromMilliseconds(20) });
        server.Model.OnForward = _ => gate.Wait(10_000);
        using HttpResponseMessage response = await server.OpenAsync(Path, Body("#poison 3", "\"stream\":true"));
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        var lines = new List<string>();
        while (lines.Count(l => l == "event: ping") < 4)
            lines.Add((await reader.ReadLineAsync())!);
        gate.Release(1000);
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            while (await reader.ReadLineAsync() is { } line)
                lines.Add(line);
        });
        lines.RemoveAll(l => l.Length == 0);
        Assert.Equal("event: error", lines[^2]);
        JsonNode error = JsonNode.Parse(lines[^1]["data: ".Length..])!;
        Assert.Equal(("error", "api_error"), ((string)error["type"]!, (string)error["error"]!["type"]!));
    }

    [Fact]
    public async Task Errors_have_the_apis_own_shape()
    {
        await using TestServer server = await TestServer.StartAsync();
        foreach (var (body, status, type) in new[]
        {
            ("""{"messages":[{"role":"user","content":"x"}]}""", 400, "invalid_request_error"),
            ("""{"max_tokens":5,"messages":[]}""", 400, "invalid_request_error"),
            ("""{"max_tokens":5,"messages":[{"role":"system","content":"x"}]}""", 400, "invalid_request_error"),
            ("""{"max_tokens":5,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"http://169.254.169.254"}}]}]}""", 400, "invalid_request_error"),
            ("""{"max_tokens":5,"messages":[{"role":"user","content":"x"}],"tools":[{"type":"bash_20250124","name":"bash"}]}""", 400, "invalid_request_error"),
            ("""{"max_tokens":5,"messages":[{"role":"user","content":"x"}],"stop_sequences":"x"}""", 400, "invalid_request_error"),
            ("""{"max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"forever"}}]}]}""", 400, "invalid_request_error"),
            ("""{"model":"claude","max_tokens":5,"messages":[{"role":"user","content":"x"}]}""", 404, "not_found_error"),
        })
        {
            var (response, error) = await server.PostAsync(Path, body);
            Assert.Equal((status, "error", type), ((int)response.StatusCode, (string)error["type"]!, (string)error["error"]!["type"]!));
            Assert.Equal(response.Headers.GetValues("x-request-id").Single(), (string)error["request_id"]!);
            Assert.NotEmpty((string)error["error"]!["message"]!);
        }
    }

    [Fact]
    public async Task Blocks_become_the_messages_they_were()
    {
        await using TestServer server = await TestServer.StartAsync();
        string body = $$$"""
            {"max_tokens":1000,{{{Tools}}},"system":[{"type":"text","text":"Be brief."}],"messages":[
              {"role":"user","content":[{"type":"text","text":"What is "},{"type":"text","text":"2+2?"}]},
              {"role":"assistant","content":[{"type":"thinking","thinking":"easy","signature":"x"},{"type":"text","text":"Adding."},{"type":"tool_use","id":"t1","name":"add","input":{"a":2}}]},
              {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"4"}]},{"type":"text","text":"#prompt"}]}]}
            """;
        string prompt = (string)(await PostAsync(server, Path, body))["content"]![0]!["text"]!;
        Assert.Contains("Be brief.", prompt, StringComparison.Ordinal);
        Assert.Contains("What is 2+2?", prompt, StringComparison.Ordinal);
        Assert.Contains("Adding.\n<tool-call>\n{\"name\": \"add\", \"arguments\": {\"a\": 2}}", prompt, StringComparison.Ordinal);
        Assert.Contains("<tool_response>\n4\n</tool_response>", prompt, StringComparison.Ordinal);
    }

    internal static string Body(string message, string more) =>
        TestServer.ChatBody(message, more.Contains("max_tokens", StringComparison.Ordinal) ? more : $"\"max_tokens\":200{(more.Length > 0 ? "," : "")}{more}");

    private static async Task<JsonNode> PostAsync(TestServer server, string path, string json)
    {
        var (response, body) = await server.PostAsync(path, json);
        Assert.True(response.IsSuccessStatusCode, body.ToJsonString());
        return body;
    }

    private static Task<JsonNode> CreateAsync(TestServer server, string message, string more = "") => PostAsync(server, Path, Body(message, more));

    private static async Task<List<JsonNode>> StreamAsync(TestServer server, string message, string more)
    {
        using HttpResponseMessage response = await server.OpenAsync(Path, Body(message, more + ",\"stream\":true"));
        return await SseReader.ReadNamedAsync(response);
    }
}
