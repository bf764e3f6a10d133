using System.Text.Json.Nodes;

namespace Sluice.Server.Tests;

/// <summary>Ollama's API.</summary>
public sealed class OllamaTests
{
    private const string Tools = """ "tools":[{"type":"function","function":{"name":"add","parameters":{"type":"object"}}}] """;

    [Fact]
    [Trait("Check", "55")]
    public async Task A_chat_is_lines_and_the_last_is_done()
    {
        await using TestServer server = await TestServer.StartAsync();
        const string Text = "<think>\nhm 🙂\n</think>\n\nCalling.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>";
        using HttpResponseMessage response = await server.OpenAsync("/api/chat", Chat(Text, Tools));
        Assert.Equal("application/x-ndjson", response.Content.Headers.ContentType!.MediaType);
        List<JsonNode> lines = await ReadLinesAsync(response);
        Assert.All(lines.SkipLast(1), l => Assert.False((bool)l["done"]!));
        Assert.All(lines, l => Assert.Equal("assistant", (string)l["message"]!["role"]!));
        Assert.All(lines, l => Assert.Equal(TestServer.ModelId, (string)l["model"]!));
        Assert.Equal("Calling.", string.Concat(lines.Select(l => (string)l["message"]!["content"]!)).Trim());
        Assert.Equal("hm 🙂", string.Concat(lines.Select(l => (string?)l["message"]!["thinking"])).Trim());
        JsonNode call = lines.Select(l => l["message"]!["tool_calls"]).OfType<JsonArray>().Single().Single()!;
        Assert.Equal(("add", 1), ((string)call["function"]!["name"]!, (int)call["function"]!["arguments"]!["a"]!));
        JsonNode last = lines[^1];
        Assert.Equal((true, "stop"), ((bool)last["done"]!, (string)last["done_reason"]!));
        Assert.True((long)last["total_duration"]! >= (long)last["prompt_eval_duration"]! + (long)last["eval_duration"]!);
        Assert.True((long)last["eval_duration"]! > 0);
        Assert.Equal(EchoModel.Tokenizer.Encode(Text).Length + 1, (int)last["eval_count"]!);

        var (_, whole) = await server.PostAsync("/api/chat", Chat(Text, Tools + ",\"stream\":false"));
        Assert.Equal("Calling.", ((string)whole["message"]!["content"]!).Trim());
        Assert.Single(whole["message"]!["tool_calls"]!.AsArray());
        Assert.Equal((int)last["prompt_eval_count"]!, (int)whole["prompt_eval_count"]!);
    }

    [Fact]
    public async Task Options_reach_the_engine()
    {
        await using TestServer server = await TestServer.StartAsync();
        var (_, cut) = await server.PostAsync("/api/chat", Chat("one two three", "\"stream\":false,\"options\":{\"num_predict\":2,\"num_ctx\":4096}"));
        Assert.Equal(("length", 2), ((string)cut["done_reason"]!, (int)cut["eval_count"]!));
        var (_, stopped) = await server.PostAsync("/api/chat", Chat("one two three", "\"stream\":false,\"options\":{\"stop\":[\"three\"],\"num_predict\":-1}"));
        Assert.Equal("one two ", (string)stopped["message"]!["content"]!);
        const string Seeded = "\"stream\":false,\"options\":{\"seed\":7,\"temperature\":1.5,\"repeat_penalty\":1.1,\"num_predict\":20}";
        var (_, first) = await server.PostAsync("/api/chat", Chat("#free", Seeded));
        var (_, second) = await server.PostAsync("/api/chat", Chat("#free", Seeded));
        Assert.Equal((string)first["message"]!["content"]!, (string)second["message"]!["content"]!);
        var (refused, error) = await server.PostAsync("/api/chat", Chat("hi", "\"options\":{\"temperature\":\"hot\"}"));
        Assert.Equal(400, (int)refused.StatusCode);
        Assert.Contains("options.temperature", (string)error["error"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Generate_wraps_the_prompt_unless_it_is_raw()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpResponseMessage response = await server.OpenAsync("/api/generate", """{"model":"echo:latest","prompt":"Hello there","system":"Repeat."}""");
        List<JsonNode> lines = await ReadLinesAsync(response);
        Assert.Equal("Hello there", string.Concat(lines.Select(l => (string)l["response"]!)));
        Assert.True((bool)lines[^1]["done"]!);
        const string Raw = "<|im_start|>user\\nhi<|im_end|>\\n<|im_start|>assistant\\n";
        var (_, raw) = await server.PostAsync("/api/generate", $$"""{"model":"echo","prompt":"{{Raw}}","raw":true,"stream":false}""");
        Assert.Equal("hi", (string)raw["response"]!);
        var (_, load) = await server.PostAsync("/api/generate", """{"model":"echo"}""");
        Assert.Equal((true, "load"), ((bool)load["done"]!, (string)load["done_reason"]!));
    }

    [Fact]
    public async Task The_model_is_listed_and_shown()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode tags = JsonNode.Parse(await server.Http.GetStringAsync(new Uri("/api/tags", UriKind.Relative)))!;
        Assert.Equal(TestServer.ModelId, (string)tags["models"]!.AsArray().Single()!["name"]!);
        var (_, show) = await server.PostAsync("/api/show", """{"model":"echo"}""");
        Assert.Contains("completion", show["capabilities"]!.AsArray().Select(c => (string)c!));
        Assert.Contains("tools", show["capabilities"]!.AsArray().Select(c => (string)c!));
        JsonNode version = JsonNode.Parse(await server.Http.GetStringAsync(new Uri("/api/version", UriKind.Relative)))!;
        Assert.True(Version.Parse((string)version["version"]!) > new Version(0, 9));
    }

    [Theory]
    [InlineData("/api/chat", """{"model":"llama3","messages":[{"role":"user","content":"x"}]}""", 404)]
    [InlineData("/api/chat", """{"messages":[{"role":"user","content":"x"}]}""", 400)]
    [InlineData("/api/chat", """{"model":"echo","messages":[{"role":"user","content":"x","images":["aGk="]}]}""", 400)]
    [InlineData("/api/generate", """{"model":"echo","prompt":"x","suffix":"y"}""", 400)]
    [InlineData("/api/generate", """{"model":"echo","prompt":"x","context":[1]}""", 400)]
    [InlineData("/api/generate", """{"model":"echo","prompt":"x","format":"xml"}""", 400)]
    [InlineData("/api/embed", """{"model":"echo","input":"x"}""", 404)]
    [InlineData("/api/pull", """{"model":"echo"}""", 404)]
    public async Task Errors_are_one_string(string path, string body, int status)
    {
        await using TestServer server = await TestServer.StartAsync();
        var (response, error) = await server.PostAsync(path, body);
        Assert.Equal(status, (int)response.StatusCode);
        Assert.NotEmpty((string)error.AsObject().Single().Value!);
    }

    [Fact]
    public async Task A_late_failure_is_a_line_and_then_the_connection_breaks()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpResponseMessage response = await server.OpenAsync("/api/chat", Chat("#poison 3", ""));
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        string last = "";
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            while (await reader.ReadLineAsync() is { } line)
                last = line;
        });
        Assert.NotEmpty((string)JsonNode.Parse(last)!["error"]!);
    }

    private static string Chat(string message, string more) => TestServer.ChatBody(message, more);

    private static async Task<List<JsonNode>> ReadLinesAsync(HttpResponseMessage response)
    {
        string text = await response.Content.ReadAsStringAsync();
        Assert.EndsWith("\n", text, StringComparison.Ordinal);
        return [.. text[..^1].Split('\n').Select(l => JsonNode.Parse(l)!)];
    }
}
