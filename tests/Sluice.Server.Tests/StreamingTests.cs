using System.Text.Json.Nodes;

namespace Sluice.Server.Tests;

/// <summary>Conformance of streams: framing, roles, reasons, usage, failures.</summary>
public sealed class StreamingTests
{
    private const string Text = "Zwölf Boxkämpfer 日本語 👩‍👩‍👧 and \"quotes\"\n\\ <tags> & more.";

    [Fact]
    [Trait("Check", "1")]
    [Trait("Check", "2")]
    [Trait("Check", "3")]
    [Trait("Check", "6")]
    [Trait("Check", "7")]
    [Trait("Check", "8")]
    [Trait("Check", "9")]
    [Trait("Check", "13")]
    public async Task A_chat_stream_is_exactly_what_clients_expect()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpResponseMessage response = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody(Text, "\"stream\":true"));
        Assert.StartsWith("req-", response.Headers.GetValues("x-request-id").Single(), StringComparison.Ordinal);
        List<JsonNode> chunks = await SseReader.ReadChunksAsync(response);

        Assert.All(chunks, c => Assert.Equal("chat.completion.chunk", (string)c["object"]!));
        Assert.StartsWith("chatcmpl-", (string)chunks[0]["id"]!, StringComparison.Ordinal);
        Assert.Single(chunks.Select(c => ((string)c["id"]!, (long)c["created"]!, (string)c["model"]!)).Distinct());
        Assert.All(chunks, c => Assert.Equal(0, (int)Assert.Single(c["choices"]!.AsArray())!["index"]!));
        Assert.Equal("assistant", (string)Delta(chunks[0])["role"]!);
        Assert.All(chunks.Skip(1), c => Assert.False(Delta(c).AsObject().ContainsKey("role")));
        Assert.Equal("stop", (string)chunks[^1]["choices"]![0]!["finish_reason"]!);
        Assert.All(chunks.SkipLast(1), c => Assert.True(IsNull(c["choices"]![0]!, "finish_reason")));
        Assert.All(chunks, c => Assert.False(c.AsObject().ContainsKey("usage")));
        Assert.Equal(Text, Join(chunks));
        Assert.All(chunks, c => Assert.DoesNotContain('\uFFFD', (string?)Delta(c)["content"] ?? ""));
        Assert.True(chunks.Count > 20, "a delta for each token, not one for all");
    }

    [Fact]
    [Trait("Check", "12")]
    [Trait("Check", "14")]
    [Trait("Check", "16")]
    public async Task Usage_comes_in_a_last_chunk_when_asked_for_and_equals_the_unstreamed()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpResponseMessage response = await server.OpenAsync(
            "/v1/chat/completions", TestServer.ChatBody(Text, """ "stream":true,"stream_options":{"include_usage":true} """));
        List<JsonNode> chunks = await SseReader.ReadChunksAsync(response);
        Assert.Empty(chunks[^1]["choices"]!.AsArray());
        Assert.All(chunks.SkipLast(1), c => Assert.True(IsNull(c, "usage")));
        JsonNode usage = chunks[^1]["usage"]!;
        Assert.Equal((int)usage["prompt_tokens"]! + (int)usage["completion_tokens"]!, (int)usage["total_tokens"]!);
        Assert.Equal(EchoModel.Tokenizer.Encode(Text).Length + 1, (int)usage["completion_tokens"]!);

        JsonNode whole = await server.ChatAsync(Text);
        AssertSame(usage, whole["usage"]!);
        Assert.Equal(Text, (string)whole["choices"]![0]!["message"]!["content"]!);
    }

    [Fact]
    [Trait("Check", "5")]
    public async Task Each_token_is_flushed_as_it_is_made()
    {
        using var gate = new SemaphoreSlim(2);
        await using TestServer server = await TestServer.StartAsync();
        server.Model.OnForward = _ => gate.Wait(10_000);
        using HttpResponseMessage response = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("one two three", "\"stream\":true"));
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        string[] tokens = [.. EchoModel.Tokenizer.Encode("one two three").Select(id => EchoModel.Tokenizer.Decode([id]))];
        Assert.Contains("assistant", await NextEvent(reader), StringComparison.Ordinal);
        foreach (string token in tokens)
        {
            // The model cannot have begun the step after next, so this event did not wait for later ones.
            Assert.Equal(token, (string)Delta(JsonNode.Parse(await NextEvent(reader))!)["content"]!);
            gate.Release();
        }

        gate.Release(10);
    }

    [Fact]
    [Trait("Check", "4")]
    public async Task Silence_is_filled_with_comments()
    {
        using var gate = new SemaphoreSlim(0);
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { KeepAliveInterval = TimeSpan.FromMilliseconds(20) });
        server.Model.OnForward = _ => gate.Wait(10_000);
        using HttpResponseMessage response = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("hi", "\"stream\":true"));
        await Task.Delay(200);
        gate.Release(100);
        var comments = new List<string>();
        List<string> events = await SseReader.ReadAsync(response, comments);
        Assert.True(comments.Count >= 2);
        Assert.All(comments, c => Assert.Equal("keep-alive", c));
        Assert.Equal("[DONE]", events[^1]);
    }

    [Fact]
    [Trait("Check", "11")]
    public async Task A_late_failure_is_an_event_and_then_the_connection_breaks()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpResponseMessage response = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("#poison 3", "\"stream\":true"));
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        var events = new List<JsonNode>();
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            while (true)
                events.Add(JsonNode.Parse(await NextEvent(reader))!);
        });
        JsonNode error = events[^1]["error"]!;
        Assert.Equal("server_error", (string)error["type"]!);
        Assert.Equal("invalid_logits", (string)error["code"]!);
        Assert.All(events.SkipLast(1), e => Assert.True(IsNull(e["choices"]![0]!, "finish_reason")));

        // The same failure, told by a status when nothing is out yet.
        var (failed, body) = await server.PostAsync("/v1/chat/completions", TestServer.ChatBody("#poison 3"));
        Assert.Equal(500, (int)failed.StatusCode);
        Assert.Equal("invalid_logits", (string)body["error"]!["code"]!);
        await server.AssertIdleAsync();
        Assert.Equal("fine", (string)(await server.ChatAsync("fine"))["choices"]![0]!["message"]!["content"]!);
    }

    [Theory]
    [Trait("Check", "56")]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_client_that_leaves_is_cancelled_and_memory_comes_back(bool stream)
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Model.OnForward = _ => Thread.Sleep(2); // the whole answer would take far longer than the test waits
        for (int i = 0; i < 5; i++)
        {
            using var cancellation = new CancellationTokenSource();
            Task<HttpResponseMessage> pending = server.OpenAsync(
                "/v1/chat/completions", TestServer.ChatBody("#endless", $"\"stream\":{(stream ? "true" : "false")}"), cancellation.Token);
            if (stream)
            {
                using HttpResponseMessage response = await pending;
                using Stream body = await response.Content.ReadAsStreamAsync();
                await body.ReadExactlyAsync(new byte[500]);
            }
            else
            {
                while (server.Engine.Status.Running == 0)
                    await Task.Delay(1);
                await cancellation.CancelAsync();
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => pending);
            }

            await server.AssertIdleAsync();
        }

        Assert.DoesNotContain(server.Log, l => l.StartsWith("Error", StringComparison.Ordinal) || l.StartsWith("Critical", StringComparison.Ordinal));
    }

    [Fact]
    [Trait("Check", "10")]
    public async Task Validation_errors_are_statuses_never_events()
    {
        await using TestServer server = await TestServer.StartAsync();
        var (response, body) = await server.PostAsync("/v1/chat/completions", TestServer.ChatBody("hi", "\"stream\":true,\"temperature\":-1"));
        Assert.Equal(400, (int)response.StatusCode);
        Assert.Equal("application/json", response.Content.Headers.ContentType!.MediaType);
        Assert.Equal("temperature", (string)body["error"]!["param"]!);
    }

    [Fact]
    public async Task Many_streams_at_once_each_carry_their_own_text()
    {
        await using TestServer server = await TestServer.StartAsync();
        await Task.WhenAll(Enumerable.Range(0, 40).Select(async i =>
        {
            string text = $"Stream {i}: {string.Concat(Enumerable.Repeat($"<{i}> 🙂 ", 10))}";
            using HttpResponseMessage response = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody(text, "\"stream\":true"));
            Assert.Equal(text, Join(await SseReader.ReadChunksAsync(response)));
        }));
        await server.AssertIdleAsync();
    }

    [Fact]
    [Trait("Check", "45")]
    public async Task A_completion_stream_has_the_legacy_shape()
    {
        await using TestServer server = await TestServer.StartAsync();
        string prompt = $"<|im_start|>user\n{Text}<|im_end|>\n<|im_start|>assistant\n";
        string body = $$"""{"prompt":{{JsonValue.Create(prompt).ToJsonString()}},"max_tokens":200,"stream":true,"stream_options":{"include_usage":true},"logprobs":2}""";
        using HttpResponseMessage response = await server.OpenAsync("/v1/completions", body);
        List<JsonNode> chunks = await SseReader.ReadChunksAsync(response);
        Assert.All(chunks, c => Assert.Equal("text_completion", (string)c["object"]!));
        Assert.Empty(chunks[^1]["choices"]!.AsArray());
        Assert.NotNull(chunks[^1]["usage"]);
        Assert.Equal("stop", (string)chunks[^2]["choices"]![0]!["finish_reason"]!);
        Assert.Equal(Text, string.Concat(chunks.SkipLast(1).Select(c => (string)c["choices"]![0]!["text"]!)));
        int[] offsets = [.. chunks.SkipLast(2).SelectMany(c => c["choices"]![0]!["logprobs"]!["text_offset"]!.AsArray().Select(o => (int)o!))];
        Assert.Equal(offsets.Order(), offsets);
        Assert.InRange(offsets[^1], 1, Text.EnumerateRunes().Count() - 1);
    }

    /// <summary>The same tokens, except that the prefix cache has more of them the second time.</summary>
    internal static void AssertSame(JsonNode first, JsonNode second)
    {
        Assert.True((int)first["prompt_tokens_details"]!["cached_tokens"]! <= (int)second["prompt_tokens_details"]!["cached_tokens"]!);
        JsonNode uncached = second.DeepClone();
        uncached["prompt_tokens_details"] = first["prompt_tokens_details"]!.DeepClone();
        Assert.True(JsonNode.DeepEquals(first, uncached), $"{first} and {second}");
    }

    private static JsonNode Delta(JsonNode chunk) => chunk["choices"]![0]!["delta"]!;

    private static string Join(IEnumerable<JsonNode> chunks) => string.Concat(chunks.Select(c => (string?)Delta(c)["content"]));

    private static bool IsNull(JsonNode node, string name) => node.AsObject().TryGetPropertyValue(name, out JsonNode? value) && value is null;

    private static async Task<string> NextEvent(StreamReader reader)
    {
        string line = await reader.ReadLineAsync() ?? throw new InvalidOperationException("the stream ended as if it were whole");
        Assert.StartsWith("data: ", line, StringComparison.Ordinal);
        Assert.Equal("", await reader.ReadLineAsync());
        return line[6..];
    }
}
