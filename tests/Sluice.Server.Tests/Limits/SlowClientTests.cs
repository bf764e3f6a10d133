using System.Diagnostics;

namespace Sluice.Server.Tests.Limits;

/// <summary>Clients that send or read too slowly, and what they cost others.</summary>
public sealed class SlowClientTests
{
    private const string Head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

    [Fact]
    public async Task Headers_must_come_in_time()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { HeaderTimeout = TimeSpan.FromMilliseconds(500) });
        using RawClient client = await RawClient.ConnectAsync(server);
        await client.WriteAsync("GET /v1/models HTTP/1.1\r\nHost: local");
        var watch = Stopwatch.StartNew();
        string response = await client.ReadAsync(8000);
        Assert.True(watch.ElapsedMilliseconds < 6000, "the connection was not closed");
        Assert.True(response.Length == 0 || response.StartsWith("HTTP/1.1 408", StringComparison.Ordinal), response);
    }

    [Fact]
    public async Task A_body_that_trickles_is_a_408()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { MinBytesPerSecond = 100_000 });
        using RawClient client = await RawClient.ConnectAsync(server);
        await client.WriteAsync($"{Head}Content-Length: 100000\r\n\r\n{{");
        string response = await client.ReadAsync(15_000);
        Assert.StartsWith("HTTP/1.1 408", response, StringComparison.Ordinal);
        Assert.Contains("request_timeout", response, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_reader_that_stalls_is_cancelled_and_others_go_on()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { StalledReaderTimeout = TimeSpan.FromMilliseconds(500) }, EchoModel.Create(maxPositions: 100_000, pages: 8192));
        string body = TestServer.ChatBody("#endless", "\"stream\":true,\"logprobs\":true,\"top_logprobs\":20");
        using RawClient stalled = await RawClient.ConnectAsync(server, receiveBuffer: 4096);
        await stalled.WriteAsync($"{Head}Content-Length: {body.Length}\r\n\r\n{body}");
        for (int i = 0; i < 10; i++)
            Assert.Equal($"meanwhile {i}", RequestTests.Content(await server.ChatAsync($"meanwhile {i}")));
        await server.LoggedAsync("POST /v1/chat/completions 200", "stalled_reader");
        await server.AssertIdleAsync();
        Assert.Contains("sluice_server_readers_stalled_total 1\n", (await server.GetAsync("/metrics")).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Connections_have_a_limit()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { MaxConnections = 2 });
        using RawClient first = await RawClient.ConnectAsync(server), second = await RawClient.ConnectAsync(server);
        await first.WriteAsync("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await second.WriteAsync("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.Contains("alive", await first.ReadAsync(500), StringComparison.Ordinal);
        Assert.Contains("alive", await second.ReadAsync(500), StringComparison.Ordinal);
        Assert.Equal("", await RawClient.SendAsync(server, "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 2000));
        second.Dispose();
        await Task.Delay(100);
        Assert.Contains("alive", await RawClient.SendAsync(server, "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), StringComparison.Ordinal);
    }
}
