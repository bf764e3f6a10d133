using System.Text.Json.Nodes;

namespace Sluice.Server.Tests;

public sealed class ShutdownTests
{
    [Fact]
    public async Task A_stopping_server_finishes_what_it_has()
    {
        using var gate = new SemaphoreSlim(1);
        await using TestServer server = await TestServer.StartAsync();
        server.Model.OnForward = _ => gate.Wait(10_000);
        using HttpResponseMessage stream = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("every word of this", "\"stream\":true"));
        Task<JsonNode> whole = server.ChatAsync("and of this");
        while (server.Engine.Status is { Running: var running, Waiting: var waiting } && running + waiting < 2)
            await Task.Delay(5);
        Task stop = server.App.StopAsync(TestContext.Current.CancellationToken);
        Assert.False(stop.IsCompleted);
        gate.Release(1000);
        List<JsonNode> chunks = await SseReader.ReadChunksAsync(stream);
        Assert.Equal("every word of this", string.Concat(chunks.Select(c => (string?)c["choices"]![0]!["delta"]!["content"])));
        Assert.Equal("and of this", RequestTests.Content(await whole));
        await stop;
        await server.AssertIdleAsync();
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => server.ChatAsync("too late"));
    }

    [Fact]
    public async Task What_does_not_finish_in_time_breaks_off()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { ShutdownTimeout = TimeSpan.FromMilliseconds(200) });
        using HttpResponseMessage stream = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("#endless", "\"stream\":true"));
        await server.App.StopAsync(TestContext.Current.CancellationToken);
        await Assert.ThrowsAnyAsync<Exception>(() => stream.Content.ReadAsStringAsync());
        await server.AssertIdleAsync();
    }

    [Fact]
    public async Task An_engine_that_stops_first_breaks_off_with_an_error()
    {
        await using TestServer server = await TestServer.StartAsync(engineOptions: new Engine.EngineOptions { DrainTimeout = TimeSpan.Zero });
        using HttpResponseMessage stream = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody("#endless", "\"stream\":true"));
        using var reader = new StreamReader(await stream.Content.ReadAsStreamAsync());
        _ = await reader.ReadLineAsync();
        await server.Engine.DisposeAsync();
        string last = "";
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            while (await reader.ReadLineAsync() is { } line)
                last = line.Length > 0 ? line : last;
        });
        Assert.Contains("shutting_down", last, StringComparison.Ordinal);
    }
}
