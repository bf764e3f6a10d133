using Sluice.Server.Access;

namespace Sluice.Server.Tests.Access;

/// <summary>How much a key may ask for.</summary>
public sealed class ClientLimitTests
{
    private const string Key = "sk-0123456789abcdefghij", Other = "sk-other-key-0123456789";

    [Fact]
    public async Task A_key_that_asks_too_often_waits_and_others_do_not()
    {
        await using TestServer server = await TestServer.StartAsync(
            new ServerOptions { ApiKeys = [ApiKey.Of("alice", Key) with { RequestsPerMinute = 2 }, ApiKey.Of("bob", Other)] }, key: Key);
        _ = await server.ChatAsync("one");
        _ = await server.ChatAsync("two");
        var (response, body) = await server.PostAsync("/v1/chat/completions", TestServer.ChatBody("three"));
        Assert.Equal((429, "rate_limit_error", "rate_limit_exceeded"), ((int)response.StatusCode, (string)body["error"]!["type"]!, (string)body["error"]!["code"]!));
        Assert.InRange(response.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 2, 30);

        // What costs nothing does not count.
        Assert.Equal(200, (await server.GetAsync("/v1/models")).Status);
        Assert.Equal(200, (await server.GetAsync("/metrics")).Status);
        Assert.Equal(429, (int)(await server.PostAsync("/tokenize", "{\"prompt\":\"x\"}")).Response.StatusCode);
        server.Http.DefaultRequestHeaders.Authorization = new("Bearer", Other);
        Assert.Equal("three", RequestTests.Content(await server.ChatAsync("three")));
    }

    [Fact]
    public async Task A_key_that_asks_too_much_at_a_time_waits_until_one_has_ended()
    {
        using var gate = new SemaphoreSlim(0);
        await using TestServer server = await TestServer.StartAsync(
            new ServerOptions { ApiKeys = [ApiKey.Of("alice", Key) with { MaxConcurrentRequests = 2 }] }, key: Key);
        server.Model.OnForward = _ => gate.Wait(10_000);
        using HttpResponseMessage first = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("one", "\"stream\":true"));
        using HttpResponseMessage second = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("two", "\"stream\":true"));
        var (response, body) = await server.PostAsync("/v1/chat/completions", TestServer.ChatBody("three"));
        Assert.Equal((429, "concurrency_limit_exceeded"), ((int)response.StatusCode, (string)body["error"]!["code"]!));
        Assert.NotNull(response.Headers.RetryAfter);
        server.Model.OnForward = null;
        gate.Release(1000);
        _ = await SseReader.ReadChunksAsync(first);
        _ = await SseReader.ReadChunksAsync(second);
        await server.LoggedAsync("200", "stop");
        for (int i = 0; i < 5; i++)
            _ = await server.ChatAsync($"again {i}");

        // Neither a request that is refused nor a client that leaves keeps a place.
        _ = await server.PostAsync("/v1/chat/completions", "{");
        _ = await server.PostAsync("/v1/chat/completions", "{");
        for (int i = 0; i < 3; i++)
        {
            using HttpResponseMessage endless = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("#endless", "\"stream\":true"));
            endless.Dispose();
            await server.AssertIdleAsync();
            await Task.Delay(20);
        }

        Assert.Equal("at last", RequestTests.Content(await server.ChatAsync("at last")));
    }
}
