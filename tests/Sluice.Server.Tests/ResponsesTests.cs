using System.Text.Json.Nodes;

namespace Sluice.Server.Tests;

/// <summary><c>/v1/responses</c>.</summary>
public sealed class ResponsesTests
{
    private const string Path = "/v1/responses";
    private const string Tools = """ "tools":[{"type":"function","name":"add","parameters":{"type":"object"}}] """;

    [Fact]
    [Trait("Check", "53")]
    public async Task A_response_has_all_its_fields()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode body = await CreateAsync(server, "Hello there", "\"instructions\":\"Repeat.\",\"metadata\":{\"a\":\"b\"},\"max_output_tokens\":50");
        Assert.Equal(("response", "completed", TestServer.ModelId), ((string)body["object"]!, (string)body["status"]!, (string)body["model"]!));
        Assert.StartsWith("resp_", (string)body["id"]!, StringComparison.Ordinal);
        foreach (string name in (string[])["error", "incomplete_details", "previous_response_id"])
            Assert.True(body.AsObject().TryGetPropertyValue(name, out JsonNode? value) && value is null, name);
        foreach (string name in (string[])["created_at", "instructions", "max_output_tokens", "parallel_tool_calls", "temperature", "text", "tool_choice", "tools", "top_p", "truncation", "metadata", "reasoning", "store"])
            Assert.NotNull(body[name]);
        JsonNode item = body["output"]!.AsArray().Single()!;
        Assert.Equal(("message", "assistant", "completed"), ((string)item["type"]!, (string)item["role"]!, (string)item["status"]!));
        Assert.Equal("""{"type":"output_text","text":"Hello there","annotations":[],"logprobs":[]}""", item["content"]![0]!.ToJsonString());
        JsonNode usage = body["usage"]!;
        Assert.Equal((int)usage["input_tokens"]! + (int)usage["output_tokens"]!, (int)usage["total_tokens"]!);
        Assert.Equal(0, (int)usage["input_tokens_details"]!["cached_tokens"]!);
        Assert.Equal(0, (int)usage["output_tokens_details"]!["reasoning_tokens"]!);
    }

    [Fact]
    [Trait("Check", "53")]
    public async Task Events_are_numbered_and_items_keep_their_ids()
    {
        await using TestServer server = await TestServer.StartAsync();
        const string Text = "<think>\nhm 🙂\n</think>\n\nCalling.\n" + "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>";
        List<JsonNode> events = await StreamAsync(server, Text, Tools);
        Assert.Equal(Enumerable.Range(0, events.Count), events.Select(e => (int)e["sequence_number"]!));
        string[] types = [.. events.Select(e => (string)e["type"]!)];
        Assert.Equal(["response.created", "response.in_progress"], types[..2]);
        Assert.Equal("response.completed", types[^1]);
        Assert.Equal("in_progress", (string)events[0]["response"]!["status"]!);

        JsonArray output = events[^1]["response"]!["output"]!.AsArray();
        Assert.Equal(["reasoning", "message", "function_call"], output.Select(i => (string)i!["type"]!));
        for (int index = 0; index < output.Count; index++)
        {
            JsonNode[] own = [.. events.Where(e => (int?)e["output_index"] == index)];
            string id = (string)output[index]!["id"]!;
            Assert.All(own, e => Assert.Equal(id, (string?)e["item_id"] ?? (string)e["item"]!["id"]!));
            Assert.Equal("response.output_item.added", (string)own[0]["type"]!);
            Assert.Equal("in_progress", (string)own[0]["item"]!["status"]!);
            Assert.Equal("response.output_item.done", (string)own[^1]["type"]!);
            Assert.True(JsonNode.DeepEquals(output[index], own[^1]["item"]));
        }

        AssertDeltas(events, "response.output_text", "Calling.", "text");
        AssertDeltas(events, "response.reasoning_text", "hm 🙂", "text");
        AssertDeltas(events, "response.function_call_arguments", "{\"a\": 1}", "arguments");
        Assert.All(events.SelectMany(Statuses), Assert.NotNull);
        Assert.All(
            events.Where(e => (string)e["type"]! is "response.content_part.added" or "response.content_part.done"),
            e => Assert.Equal(0, (int)e["content_index"]!));
    }

    [Fact]
    public async Task Limits_make_a_response_incomplete()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode body = await CreateAsync(server, "one two three four", "\"max_output_tokens\":2");
        Assert.Equal(("incomplete", "max_output_tokens"), ((string)body["status"]!, (string)body["incomplete_details"]!["reason"]!));
        Assert.Equal("incomplete", (string)body["output"]![0]!["status"]!);
        List<JsonNode> events = await StreamAsync(server, "one two three four", "\"max_output_tokens\":2");
        Assert.Equal("response.incomplete", (string)events[^1]["type"]!);
    }

    [Fact]
    public async Task A_late_failure_is_an_event_and_then_the_connection_breaks()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpResponseMessage response = await server.OpenAsync(Path, Body("#poison 3", "\"stream\":true"));
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        string last = "";
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            while (await reader.ReadLineAsync() is { } line)
                last = line.Length > 0 ? line : last;
        });
        JsonNode failed = JsonNode.Parse(last["data: ".Length..])!;
        Assert.Equal(("response.failed", "failed"), ((string)failed["type"]!, (string)failed["response"]!["status"]!));
        Assert.Equal("invalid_logits", (string)failed["response"]!["error"]!["code"]!);
    }

    [Fact]
    public async Task Responses_are_kept_gone_on_from_and_forgotten()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode first = await CreateAsync(server, "My name is Ada.", "\"instructions\":\"Old orders.\"");
        string id = (string)first["id"]!;
        JsonNode again = JsonNode.Parse(await server.Http.GetStringAsync(new Uri($"{Path}/{id}", UriKind.Relative)))!;
        Assert.True(JsonNode.DeepEquals(first, again));
        JsonNode items = JsonNode.Parse(await server.Http.GetStringAsync(new Uri($"{Path}/{id}/input_items", UriKind.Relative)))!;
        JsonNode item = items["data"]!.AsArray().Single()!;
        Assert.Equal("My name is Ada.", (string)item["content"]![0]!["text"]!);
        Assert.Equal((string)item["id"]!, (string)items["first_id"]!);

        JsonNode second = await CreateAsync(server, "#prompt", $"\"previous_response_id\":\"{id}\",\"instructions\":\"New orders.\"");
        string prompt = (string)second["output"]![0]!["content"]![0]!["text"]!;
        Assert.Contains("assistant\nMy name is Ada.", prompt, StringComparison.Ordinal);
        Assert.Contains("New orders.", prompt, StringComparison.Ordinal);
        Assert.DoesNotContain("Old orders.", prompt, StringComparison.Ordinal);
        Assert.Equal(id, (string)second["previous_response_id"]!);

        using HttpResponseMessage deleted = await server.Http.DeleteAsync(new Uri($"{Path}/{id}", UriKind.Relative));
        Assert.True((bool)JsonNode.Parse(await deleted.Content.ReadAsStringAsync())!["deleted"]!);
        using HttpResponseMessage gone = await server.Http.GetAsync(new Uri($"{Path}/{id}", UriKind.Relative));
        Assert.Equal(404, (int)gone.StatusCode);
        var (refused, error) = await server.PostAsync(Path, Body("hi", $"\"previous_response_id\":\"{id}\""));
        Assert.Equal((404, "previous_response_id"), ((int)refused.StatusCode, (string)error["error"]!["param"]!));

        JsonNode secret = await CreateAsync(server, "hi", "\"store\":false");
        using HttpResponseMessage unkept = await server.Http.GetAsync(new Uri($"{Path}/{secret["id"]}", UriKind.Relative));
        Assert.Equal(404, (int)unkept.StatusCode);
    }

    [Fact]
    public async Task Items_become_the_messages_they_were()
    {
        await using TestServer server = await TestServer.StartAsync();
        string body = $$"""
            {"model":"{{TestServer.ModelId}}",{{Tools}},"input":[
              {"role":"developer","content":"Be brief."},
              {"role":"user","content":[{"type":"input_text","text":"What is "},{"type":"input_text","text":"2+2?"}]},
              {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"easy"}]},
              {"type":"message","role":"assistant","id":"msg_1","content":[{"type":"output_text","text":"Adding.","annotations":[]}]},
              {"type":"function_call","call_id":"c1","name":"add","arguments":"{\"a\": 2}"},
              {"type":"function_call","call_id":"c2","name":"add","arguments":"{\"a\": 3}"},
              {"type":"function_call_output","call_id":"c1","output":"4"},
              {"type":"function_call_output","call_id":"c2","output":"5"},
              {"role":"user","content":"#prompt"}]}
            """;
        var (response, answer) = await server.PostAsync(Path, body);
        Assert.True(response.IsSuccessStatusCode, answer.ToJsonString());
        string prompt = (string)answer["output"]![0]!["content"]![0]!["text"]!;
        Assert.Contains("What is 2+2?", prompt, StringComparison.Ordinal);
        Assert.Contains("Adding.\n<tool-call>\n{\"name\": \"add\", \"arguments\": {\"a\": 2}}\n</tool-call>\n<tool-call>\n{\"name\": \"add\", \"arguments\": {\"a\": 3}}", prompt, StringComparison.Ordinal);
        Assert.Contains("<tool_response>\n4\n</tool_response>\n<tool_response>\n5\n</tool_response>", prompt, StringComparison.Ordinal);
        Assert.Contains("\"name\": \"add\", \"parameters\"", prompt, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"input\":[]", "input")]
    [InlineData("\"input\":null", "input")]
    [InlineData("\"input\":[{\"type\":\"web_search_call\"}]", "input[0].type")]
    [InlineData("\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":\"http://169.254.169.254\"}]}]", "input[0].content[0].type")]
    [InlineData("\"input\":\"a\",\"background\":true", "background")]
    [InlineData("\"input\":\"a\",\"conversation\":\"c\"", "conversation")]
    [InlineData("\"input\":\"a\",\"truncation\":\"auto\"", "truncation")]
    [InlineData("\"input\":\"a\",\"max_output_tokens\":0", "max_output_tokens")]
    [InlineData("\"input\":\"a\",\"tools\":[{\"type\":\"web_search\"}]", "tools[0].type")]
    [InlineData("\"input\":\"a\",\"reasoning\":{\"effort\":\"some\"}", "reasoning.effort")]
    public async Task Bad_requests_are_refused_by_name(string fields, string parameter)
    {
        await using TestServer server = await TestServer.StartAsync();
        var (response, body) = await server.PostAsync(Path, $"{{{fields}}}");
        Assert.Equal((400, parameter), ((int)response.StatusCode, (string?)body["error"]!["param"]));
    }

    private static IEnumerable<JsonNode?> Statuses(JsonNode node)
    {
        if (node is JsonArray items)
            return items.OfType<JsonNode>().SelectMany(Statuses);
        if (node is not JsonObject fields)
            return [];
        IEnumerable<JsonNode?> inner = fields.Select(f => f.Value).OfType<JsonNode>().SelectMany(Statuses);
        return fields.ContainsKey("status") ? inner.Append(fields["status"]) : inner;
    }

    private static void AssertDeltas(List<JsonNode> events, string type, string expected, string field)
    {
        Assert.Equal(expected, string.Concat(events.Where(e => (string)e["type"]! == type + ".delta").Select(e => (string)e["delta"]!)).Trim());
        JsonNode done = events.Single(e => (string)e["type"]! == type + ".done");
        Assert.Equal(expected, ((string)done[field]!).Trim());
    }

    private static string Body(string input, string more) =>
        $$"""{"model":"{{TestServer.ModelId}}","input":{{JsonValue.Create(input).ToJsonString()}}{{(more.Length > 0 ? "," : "")}}{{more}}}""";

    private static async Task<JsonNode> CreateAsync(TestServer server, string input, string more = "")
    {
        var (response, body) = await server.PostAsync(Path, Body(input, more));
        Assert.True(response.IsSuccessStatusCode, body.ToJsonString());
        return body;
    }

    private static async Task<List<JsonNode>> StreamAsync(TestServer server, string input, string more)
    {
        using HttpResponseMessage response = await server.OpenAsync(Path, Body(input, more + ",\"stream\":true"));
        return await SseReader.ReadNamedAsync(response);
    }
}
