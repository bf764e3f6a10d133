using System.Text.Json.Nodes;

namespace Sluice.Server.Tests;

/// <summary>Several answers to one request, several prompts, prompts repeated.</summary>
public sealed class ChoiceTests
{
    private const string Sampled = "\"temperature\":1.5,\"top_k\":0,\"top_p\":1,\"max_tokens\":20";

    [Fact]
    [Trait("Check", "39")]
    public async Task N_gives_as_many_choices_whole_and_streamed()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode body = await server.ChatAsync("#free", $"\"n\":3,\"seed\":5,{Sampled}");
        JsonArray choices = body["choices"]!.AsArray();
        Assert.Equal([0, 1, 2], choices.Select(c => (int)c!["index"]!));
        string[] texts = [.. choices.Select(c => (string)c!["message"]!["content"]!)];
        Assert.Equal(3, texts.Distinct().Count());

        JsonNode one = await server.ChatAsync("#free", $"\"seed\":5,{Sampled}");
        Assert.Equal(texts[0], RequestTests.Content(one));
        Assert.Equal((int)one["usage"]!["prompt_tokens"]!, (int)body["usage"]!["prompt_tokens"]!);
        Assert.Equal(60, (int)body["usage"]!["completion_tokens"]!);

        using HttpResponseMessage response = await server.OpenAsync(
            "/v1/chat/completions",
            TestServer.ChatBody("#free", $"\"n\":3,\"seed\":5,\"stream\":true,\"stream_options\":{{\"include_usage\":true}},{Sampled}"));
        List<JsonNode> chunks = await SseReader.ReadChunksAsync(response);
        StreamingTests.AssertSame(body["usage"]!, chunks[^1]["usage"]!);
        ILookup<int, JsonNode> byIndex = chunks.SkipLast(1).Select(c => c["choices"]!.AsArray().Single()!).ToLookup(c => (int)c["index"]!);
        for (int index = 0; index < 3; index++)
        {
            Assert.Equal(texts[index], string.Concat(byIndex[index].Select(c => (string?)c["delta"]!["content"])));
            Assert.Single(byIndex[index], c => (string?)c["delta"]!["role"] == "assistant");
            Assert.Single(byIndex[index], c => c["finish_reason"] is not null);
        }

        await server.AssertIdleAsync();
    }

    [Fact]
    public async Task A_failure_of_one_choice_fails_all()
    {
        await using TestServer server = await TestServer.StartAsync();
        var (response, body) = await server.PostAsync("/v1/chat/completions", TestServer.ChatBody("#poison 3", "\"n\":2"));
        Assert.Equal((500, "invalid_logits"), ((int)response.StatusCode, (string)body["error"]!["code"]!));
        using HttpResponseMessage stream = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("#poison 3", "\"n\":2,\"stream\":true"));
        await Assert.ThrowsAnyAsync<Exception>(() => stream.Content.ReadAsStringAsync());
        await server.AssertIdleAsync();
    }

    [Fact]
    public async Task A_client_that_leaves_cancels_every_choice()
    {
        await using TestServer server = await TestServer.StartAsync();
        using (HttpResponseMessage response = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("#endless", "\"n\":4,\"stream\":true")))
        using (Stream body = await response.Content.ReadAsStreamAsync())
            await body.ReadExactlyAsync(new byte[2000]);
        await server.AssertIdleAsync();
    }

    [Fact]
    public async Task Choices_that_do_not_fit_the_queue_are_refused_together()
    {
        await using TestServer server = await TestServer.StartAsync(engineOptions: new Engine.EngineOptions { MaxRunning = 1, MaxQueued = 3 });
        var (response, _) = await server.PostAsync("/v1/chat/completions", TestServer.ChatBody("#endless", "\"n\":100"));
        Assert.Equal(429, (int)response.StatusCode);
        await server.AssertIdleAsync();
    }

    [Fact]
    public async Task Completions_take_several_prompts_and_repeat_them()
    {
        await using TestServer server = await TestServer.StartAsync();
        string[] prompts = ["one", "two 🙂"];
        const string Body = """{"prompt":["one","two 🙂"],"n":2,"best_of":2,"echo":true,"seed":3,"max_tokens":5""";
        var (response, body) = await server.PostAsync("/v1/completions", Body + "}");
        Assert.True(response.IsSuccessStatusCode, body.ToJsonString());
        JsonArray choices = body["choices"]!.AsArray();
        Assert.Equal([0, 1, 2, 3], choices.Select(c => (int)c!["index"]!));
        string[] texts = [.. choices.Select(c => (string)c!["text"]!)];
        for (int i = 0; i < 4; i++)
            Assert.StartsWith(prompts[i / 2], texts[i], StringComparison.Ordinal);
        Assert.Equal(prompts.Sum(p => EchoModel.Tokenizer.Encode(p).Length), (int)body["usage"]!["prompt_tokens"]!);
        Assert.Equal(20, (int)body["usage"]!["completion_tokens"]!);

        using HttpResponseMessage stream = await server.OpenAsync("/v1/completions", Body + ",\"stream\":true}");
        List<JsonNode> chunks = await SseReader.ReadChunksAsync(stream);
        ILookup<int, JsonNode> byIndex = chunks.Select(c => c["choices"]!.AsArray().Single()!).ToLookup(c => (int)c["index"]!);
        Assert.Equal(texts, Enumerable.Range(0, 4).Select(i => string.Concat(byIndex[i].Select(c => (string)c["text"]!))));
    }

    [Theory]
    [InlineData("\"n\":2,\"best_of\":3", "best_of")]
    [InlineData("\"n\":100", "prompt")]
    [InlineData("\"n\":0", "n")]
    [InlineData("\"best_of\":1000000000", "best_of")]
    [InlineData("\"max_tokens\":0", "max_tokens")]
    public async Task Too_many_answers_are_refused_by_name(string fields, string parameter)
    {
        await using TestServer server = await TestServer.StartAsync();
        var (response, body) = await server.PostAsync("/v1/completions", $"{{\"prompt\":[\"a\",\"b\"],{fields}}}");
        Assert.Equal((400, parameter), ((int)response.StatusCode, (string?)body["error"]!["param"]));
    }
}
