using System.Text;

namespace Sluice.Server.Tests.Limits;

/// <summary>Requests that break HTTP, or stretch it.</summary>
public sealed class MalformedHttpTests
{
    private const string Head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n";

    private static readonly string Body = TestServer.ChatBody("hi");

    [Fact]
    public async Task Bombs_of_headers_are_turned_away()
    {
        await using TestServer server = await TestServer.StartAsync();
        Assert.Equal(431, await RawClient.StatusAsync(server, $"{Head}X: {new string('a', 64 << 10)}\r\n\r\n"));
        Assert.Equal(431, await RawClient.StatusAsync(server, $"{Head}{string.Concat(Enumerable.Range(0, 200).Select(i => $"x{i}: 1\r\n"))}\r\n"));
        Assert.Equal(414, await RawClient.StatusAsync(server, $"GET /{new string('a', 64 << 10)} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        await AssertAliveAsync(server);
    }

    [Theory]
    [InlineData("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n")]
    [InlineData("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n")]
    [InlineData("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello")]
    [InlineData("Content-Length: -1\r\n\r\n")]
    [InlineData("Content-Length: 18446744073709551617\r\n\r\nhello")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello\r\n0\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n")]
    [InlineData("Host: evil.example\r\nContent-Length: 0\r\n\r\n")]
    [InlineData("X Y: 1\r\nContent-Length: 0\r\n\r\n")]
    [InlineData(" folded: 1\r\nContent-Length: 0\r\n\r\n")]
    [InlineData("X: a\0b\r\nContent-Length: 0\r\n\r\n")]
    public async Task Framing_that_could_be_read_two_ways_is_a_400_or_a_closed_connection(string rest)
    {
        await using TestServer server = await TestServer.StartAsync();

        // A second request hides behind the first: it must never be answered.
        string response = await RawClient.SendAsync(server, Head.Replace("Connection: close\r\n", "", StringComparison.Ordinal) + rest + "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 2000);
        Assert.DoesNotContain("\"echo\"", response, StringComparison.Ordinal);
        Assert.True(response.Length == 0 || response.StartsWith("HTTP/1.1 4", StringComparison.Ordinal) || response.StartsWith("HTTP/1.1 501", StringComparison.Ordinal), response);
        await AssertAliveAsync(server);
    }

    [Fact]
    public async Task Chunks_of_one_byte_with_extensions_and_trailers_are_still_a_request()
    {
        await using TestServer server = await TestServer.StartAsync();
        string chunks = string.Concat(Body.Select(c => $"1;a=b\r\n{c}\r\n"));
        string response = await RawClient.SendAsync(server, $"{Head}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\nX-Trailer: 1\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 200", response, StringComparison.Ordinal);
        Assert.Contains("\"content\":\"hi\"", response, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_that_outgrows_its_limit_is_a_413_however_it_comes()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { MaxBodyBytes = 10_000 });
        string declared = await RawClient.SendAsync(server, $"{Head}Content-Length: 1000000000\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 413", declared, StringComparison.Ordinal);
        Assert.Contains("request_too_large", declared, StringComparison.Ordinal);
        string chunked = await RawClient.SendAsync(server, $"{Head}Transfer-Encoding: chunked\r\n\r\n{string.Concat(Enumerable.Repeat("100\r\n" + new string(' ', 256) + "\r\n", 50))}0\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 413", chunked, StringComparison.Ordinal);
        Assert.Contains("request_too_large", chunked, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_a_client_writes_is_put_into_a_line_of_the_log()
    {
        await using TestServer server = await TestServer.StartAsync();
        _ = await RawClient.SendAsync(server, "GET /v1/models/a%0aerror:%20forged%20xyzzy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        _ = await RawClient.SendAsync(server, "XYZZY /xyzzy?xyzzy=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: xyzzy\r\nConnection: close\r\n\r\n");
        await server.LoggedAsync("GET /v1/models/{**id} 404");
        await server.LoggedAsync("_OTHER (none) 404");
        Assert.DoesNotContain(server.Log, l => l.StartsWith("Information", StringComparison.Ordinal) && l.Contains("xyzzy", StringComparison.OrdinalIgnoreCase));
        Assert.DoesNotContain("xyzzy", (await server.GetAsync("/metrics")).Text, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task Depth_is_counted_before_anything_recurses()
    {
        await using TestServer server = await TestServer.StartAsync();
        foreach (string bomb in (string[])[new string('[', 1_000_000), string.Concat(Enumerable.Repeat("{\"a\":", 200_000)), $"{{\"messages\":{new string('[', 100_000)}"])
        {
            var (response, body) = await server.PostAsync("/v1/chat/completions", bomb);
            Assert.Equal((400, "invalid_json"), ((int)response.StatusCode, (string)body["error"]!["code"]!));
        }

        // A model's old arguments are JSON inside JSON.
        string arguments = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(new string('[', 100_000)));
        var (kept, _) = await server.PostAsync(
            "/v1/chat/completions",
            $$$"""{"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{{{arguments}}}"}}]}],"max_tokens":1}""");
        Assert.True((int)kept.StatusCode < 500);
        await AssertAliveAsync(server);
    }

    private static async Task AssertAliveAsync(TestServer server)
    {
        Assert.Equal("alive", RequestTests.Content(await server.ChatAsync("alive")));
        await server.AssertIdleAsync();
    }
}
