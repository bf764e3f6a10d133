using System.Text.Json.Nodes;

namespace Sluice.Server.Tests;

/// <summary>Calls of tools and thinking, as chat completions tell them.</summary>
public sealed class ToolTests
{
    public const string Tools = """
        "tools":[
          {"type":"function","function":{"name":"add","description":"Adds.","parameters":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}}}}},
          {"type":"function","function":{"name":"now"}}]
        """;

    public const string Call = "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 2, \"b\": [1, \"}\"]}}\n</tool_call>";
    public const string TwoCalls = Call + "\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";

    [Fact]
    [Trait("Check", "17")]
    [Trait("Check", "34")]
    [Trait("Check", "37")]
    public async Task A_call_has_the_shape_and_content_is_null()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode choice = (await server.ChatAsync(Call, Tools))["choices"]![0]!;
        Assert.Equal("tool_calls", (string)choice["finish_reason"]!);
        JsonObject message = choice["message"]!.AsObject();
        Assert.True(message.TryGetPropertyValue("content", out JsonNode? content) && content is null);
        JsonObject call = message["tool_calls"]!.AsArray().Single()!.AsObject();
        Assert.Equal(["function", "id", "type"], call.Select(p => p.Key).Order());
        Assert.Equal(("function", "add"), ((string)call["type"]!, (string)call["function"]!["name"]!));
        Assert.NotEmpty((string)call["id"]!);
        JsonNode arguments = JsonNode.Parse((string)call["function"]!["arguments"]!)!;
        Assert.Equal(2, (int)arguments["a"]!);
        Assert.Equal("}", (string)arguments["b"]![1]!);

        JsonNode both = (await server.ChatAsync("Let me see. " + Call, Tools))["choices"]![0]!["message"]!;
        Assert.StartsWith("Let me see.", (string)both["content"]!, StringComparison.Ordinal);
        Assert.Single(both["tool_calls"]!.AsArray());
    }

    [Fact]
    [Trait("Check", "8")]
    [Trait("Check", "9")]
    [Trait("Check", "33")]
    [Trait("Check", "35")]
    public async Task Streamed_calls_begin_with_everything_but_arguments()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpResponseMessage response = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody(TwoCalls, Tools + ",\"stream\":true"));
        List<JsonNode> chunks = await SseReader.ReadChunksAsync(response);
        JsonObject first = chunks[0]["choices"]![0]!["delta"]!.AsObject();
        Assert.Equal("""{"role":"assistant","content":null}""", first.ToJsonString());
        Assert.All(chunks.Skip(1), c => Assert.False(c["choices"]![0]!["delta"]!.AsObject().ContainsKey("role")));
        Assert.Equal("tool_calls", (string)chunks[^1]["choices"]![0]!["finish_reason"]!);
        Assert.All(chunks.SkipLast(1), c => Assert.Null(c["choices"]![0]!["finish_reason"]));

        JsonObject[] deltas = [.. chunks.Select(c => c["choices"]![0]!["delta"]!["tool_calls"]).OfType<JsonArray>().Select(a => a.Single()!.AsObject())];
        Assert.True(deltas.Length > 4, "arguments come as they are made");
        ILookup<int, JsonObject> byIndex = deltas.ToLookup(d => (int)d["index"]!);
        Assert.Equal([0, 1], byIndex.Select(g => g.Key));
        foreach (IGrouping<int, JsonObject> call in byIndex)
        {
            JsonObject begin = call.First();
            Assert.Equal(["function", "id", "index", "type"], begin.Select(p => p.Key).Order());
            Assert.Equal("function", (string)begin["type"]!);
            Assert.Equal("", (string)begin["function"]!["arguments"]!);
            Assert.Equal(call.Key == 0 ? "add" : "now", (string)begin["function"]!["name"]!);
            Assert.All(call.Skip(1), d => Assert.Equal(["function", "index"], d.Select(p => p.Key).Order()));
            Assert.All(call.Skip(1), d => Assert.Equal(["arguments"], d["function"]!.AsObject().Select(p => p.Key)));
            JsonNode arguments = JsonNode.Parse(string.Concat(call.Select(d => (string)d["function"]!["arguments"]!)))!;
            Assert.Equal(call.Key == 0 ? 2 : 0, arguments.AsObject().Count);
        }

        Assert.NotEqual((string)byIndex[0].First()["id"]!, (string)byIndex[1].First()["id"]!);
    }

    [Fact]
    [Trait("Check", "36")]
    public async Task Without_tools_or_with_none_a_call_is_text()
    {
        await using TestServer server = await TestServer.StartAsync();
        foreach (string more in (string[])["", Tools + ",\"tool_choice\":\"none\""])
        {
            JsonNode choice = (await server.ChatAsync(Call, more))["choices"]![0]!;
            Assert.Equal((Call, "stop"), ((string)choice["message"]!["content"]!, (string)choice["finish_reason"]!));
        }

        JsonNode auto = await server.ChatAsync("just text", Tools + ",\"tool_choice\":\"auto\"");
        Assert.Equal("just text", RequestTests.Content(auto));
    }

    [Theory]
    [Trait("Check", "36")]
    [InlineData("\"tool_choice\":\"required\"")]
    [InlineData("\"tool_choice\":\"sometimes\"," + "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]")]
    [InlineData("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}," + "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]")]
    public async Task A_choice_that_cannot_be_is_refused(string fields)
    {
        await using TestServer server = await TestServer.StartAsync();
        var (response, body) = await server.PostAsync("/v1/chat/completions", TestServer.ChatBody("hi", fields));
        Assert.Equal((400, "tool_choice"), ((int)response.StatusCode, (string?)body["error"]!["param"]));
    }

    [Theory]
    [Trait("Check", "36")]
    [InlineData("\"required\"", null)]
    [InlineData("{\"type\":\"function\",\"function\":{\"name\":\"walk\"}}", "walk")]
    public async Task A_call_that_is_demanded_is_made_whatever_the_model_would_rather_say(string toolChoice, string? name)
    {
        const string Functions = """
            [{"type":"function","function":{"name":"walk","parameters":{"type":"object","properties":{"to":{"enum":["east","west"]}},"required":["to"]}}},
            {"type":"function","function":{"name":"wait","parameters":{"type":"object","properties":{"days":{"type":"integer","minimum":1,"maximum":9}},"required":["days"]}}}]
            """;
        await using TestServer server = await TestServer.StartAsync();

        // A model that says anything may think for ever.
        Assert.True(EchoModel.Tokenizer.TryGetId("<think>", out int think));
        for (int seed = 0; seed < 10; seed++)
        {
            JsonNode choice = (await server.ChatAsync(
                "#free", $"\"seed\":{seed},\"temperature\":1.5,\"logit_bias\":{{\"{think}\":-100}},\"tools\":{Functions},\"tool_choice\":{toolChoice},\"parallel_tool_calls\":false"))["choices"]![0]!;
            JsonNode function = choice["message"]!["tool_calls"]!.AsArray().Single()!["function"]!;
            string called = (string)function["name"]!;
            JsonNode arguments = JsonNode.Parse((string)function["arguments"]!)!;
            Assert.Equal(name ?? called, called);
            Assert.True(called == "walk" ? (string?)arguments["to"] is "east" or "west" : (int)arguments["days"]! is >= 1 and <= 9);
            Assert.Equal("tool_calls", (string?)choice["finish_reason"]);
        }
    }

    [Fact]
    public async Task One_call_at_a_time_when_asked_for()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode choice = (await server.ChatAsync(TwoCalls, Tools + ",\"parallel_tool_calls\":false"))["choices"]![0]!;
        Assert.Equal("add", (string)choice["message"]!["tool_calls"]!.AsArray().Single()!["function"]!["name"]!);
        Assert.Equal("tool_calls", (string)choice["finish_reason"]!);
        await server.AssertIdleAsync();
    }

    [Fact]
    public async Task A_call_cut_by_the_limit_ends_by_length()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode choice = (await server.ChatAsync(Call, Tools + ",\"max_tokens\":20"))["choices"]![0]!;
        Assert.Equal("length", (string)choice["finish_reason"]!);
    }

    [Fact]
    [Trait("Check", "15")]
    [Trait("Check", "19")]
    [Trait("Check", "50")]
    public async Task Thinking_is_told_apart_and_its_tokens_count()
    {
        await using TestServer server = await TestServer.StartAsync();
        const string Thought = "<think>\nLet me 🙂 see.\n</think>\n\nIt is 4.";
        JsonNode body = await server.ChatAsync(Thought);
        JsonNode message = body["choices"]![0]!["message"]!;
        Assert.Equal(("It is 4.", "Let me 🙂 see."), ((string)message["content"]!, ((string)message["reasoning_content"]!).Trim()));
        int all = EchoModel.Tokenizer.Encode(Thought).Length + 1;
        Assert.Equal(all, (int)body["usage"]!["completion_tokens"]!);
        int reasoning = (int)body["usage"]!["completion_tokens_details"]!["reasoning_tokens"]!;
        Assert.InRange(reasoning, EchoModel.Tokenizer.Encode("<think>\nLet me 🙂 see.\n").Length, EchoModel.Tokenizer.Encode("<think>\nLet me 🙂 see.\n</think>\n\n").Length);
        Assert.Equal(0, (int)body["usage"]!["prompt_tokens_details"]!["cached_tokens"]!);

        using HttpResponseMessage response = await server.OpenAsync(
            "/v1/chat/completions", TestServer.ChatBody(Thought, "\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
        List<JsonNode> chunks = await SseReader.ReadChunksAsync(response);
        StreamingTests.AssertSame(body["usage"]!, chunks[^1]["usage"]!);
        JsonNode[] deltas = [.. chunks.SkipLast(1).Select(c => c["choices"]![0]!["delta"]!)];
        Assert.Equal((string)message["content"]!, string.Concat(deltas.Select(d => (string?)d["content"])));
        Assert.Equal((string)message["reasoning_content"]!, string.Concat(deltas.Select(d => (string?)d["reasoning_content"])));
        Assert.True(deltas.Count(d => d["reasoning_content"] is not null) > 3, "thinking comes as it is made");

        JsonNode cut = await server.ChatAsync(Thought, "\"max_tokens\":4");
        Assert.Equal(4, (int)cut["usage"]!["completion_tokens_details"]!["reasoning_tokens"]!);
        Assert.Equal("", RequestTests.Content(cut));
    }

    [Fact]
    [Trait("Check", "44")]
    public async Task Log_probabilities_are_of_the_content_alone()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode choice = (await server.ChatAsync("<think>\nhm\n</think>\n\nFour < five, naïve 🙂", Tools + ",\"logprobs\":true"))["choices"]![0]!;
        byte[] bytes = [.. choice["logprobs"]!["content"]!.AsArray().SelectMany(t => t!["bytes"]!.AsArray().Select(b => (byte)(int)b!))];
        Assert.Equal("Four < five, naïve 🙂", System.Text.Encoding.UTF8.GetString(bytes).Trim());
        Assert.Equal("Four < five, naïve 🙂", (string)choice["message"]!["content"]!);
    }

    [Fact]
    public async Task Arguments_of_the_template_are_those_it_reads()
    {
        const string Source = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
            + "{% if enable_thinking is defined and not enable_thinking %}quiet{% endif %}[{{ reasoning_effort }}]<|im_start|>assistant\n";
        await using TestServer server = await TestServer.StartAsync(template: Text.ChatTemplate.Parse(Source));
        async Task<string> Prompt(string more) => RequestTests.Content(await server.ChatAsync("#prompt", more));
        Assert.EndsWith("quiet[]", await Prompt("\"chat_template_kwargs\":{\"enable_thinking\":false}"), StringComparison.Ordinal);
        Assert.EndsWith("quiet[none]", await Prompt("\"reasoning_effort\":\"none\""), StringComparison.Ordinal);
        Assert.EndsWith("\n[high]", await Prompt("\"reasoning_effort\":\"high\""), StringComparison.Ordinal);
        Assert.EndsWith("quiet[high]", await Prompt("\"reasoning_effort\":\"high\",\"chat_template_kwargs\":{\"enable_thinking\":false}"), StringComparison.Ordinal);
        foreach (string more in (string[])["\"chat_template_kwargs\":{\"frobnicate\":1}", "\"chat_template_kwargs\":{\"messages\":[]}", "\"chat_template_kwargs\":{\"range\":1}", "\"reasoning_effort\":\"some\""])
        {
            var (response, _) = await server.PostAsync("/v1/chat/completions", TestServer.ChatBody("hi", more));
            Assert.Equal(400, (int)response.StatusCode);
        }
    }
}
