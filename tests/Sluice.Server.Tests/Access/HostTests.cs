using System.Net;
using Sluice.Core;

namespace Sluice.Server.Tests.Access;

/// <summary>Web pages that make a browser talk to a server only this machine can reach.</summary>
public sealed class HostTests
{
    [Theory]
    [InlineData("localhost", null, 200)]
    [InlineData("LocalHost:8080", null, 200)]
    [InlineData("127.0.0.1:8080", null, 200)]
    [InlineData("[::1]:8080", null, 200)]
    [InlineData("evil.example", null, 403)]
    [InlineData("evil.example:8080", null, 403)]
    [InlineData("localhost.evil.example", null, 403)]
    [InlineData("127.0.0.1.evil.example", null, 403)]
    [InlineData("169.254.169.254", null, 403)]
    [InlineData("", null, 403)]
    [InlineData("localhost", "http://evil.example", 403)]
    [InlineData("localhost", "null", 403)]
    [InlineData("localhost", "file://localhost", 403)]
    [InlineData("localhost", "http://localhost.evil.example", 403)]
    [InlineData("localhost", "http://localhost@evil.example", 403)]
    [InlineData("localhost", "http://localhost:3000", 200)]
    [InlineData("127.0.0.1", "http://127.0.0.1", 200)]
    public async Task On_loopback_foreign_hosts_and_origins_are_turned_away(string host, string? origin, int status)
    {
        await using TestServer server = await TestServer.StartAsync();
        string more = origin is null ? "" : $"Origin: {origin}\r\n";
        foreach (string path in (string[])["/v1/models", "/health/live", "/nothing"])
        {
            string response = await RawClient.SendAsync(server, $"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
            Assert.Equal($"HTTP/1.1 {(status == 200 && path == "/nothing" ? 404 : status)}", response[..12]);
            Assert.DoesNotContain("Access-Control-Allow-Origin", response, StringComparison.OrdinalIgnoreCase);
        }
    }

    [Fact]
    public async Task Further_hosts_are_configured_and_elsewhere_any_will_do()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { AllowedHosts = ["chat.example"] });
        Assert.Equal(200, await RawClient.StatusAsync(server, "GET /v1/models HTTP/1.1\r\nHost: chat.example\r\nConnection: close\r\n\r\n"));
        Assert.Equal(403, await RawClient.StatusAsync(server, "GET /v1/models HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n"));
        await using TestServer elsewhere = await TestServer.StartAsync(new ServerOptions { Address = IPAddress.Any });
        elsewhere.Http.BaseAddress = new UriBuilder(elsewhere.Address) { Host = "127.0.0.1" }.Uri;
        Assert.Equal(200, (await elsewhere.GetAsync("/v1/models")).Status);
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models") { Headers = { Host = "any.example" } };
        Assert.Equal(HttpStatusCode.OK, (await elsewhere.Http.SendAsync(request)).StatusCode);
    }

    [Fact]
    public async Task Only_configured_origins_get_cors_headers_also_on_errors_and_before_a_key()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions
        {
            CorsOrigins = ["https://chat.example"],
            ApiKeys = [Server.Access.ApiKey.Of("alice", "sk-0123456789abcdefghij")],
        });
        string preflight = await RawClient.SendAsync(
            server,
            "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: https://chat.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 204", preflight, StringComparison.Ordinal);
        Assert.Contains("Access-Control-Allow-Origin: https://chat.example\r\n", preflight, StringComparison.Ordinal);
        string refused = await RawClient.SendAsync(server, "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: https://chat.example\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 401", refused, StringComparison.Ordinal);
        Assert.Contains("Access-Control-Allow-Origin: https://chat.example\r\n", refused, StringComparison.Ordinal);
        string other = await RawClient.SendAsync(server, "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: http://chat.example\r\n\r\n");
        Assert.StartsWith("HTTP/1.1 403", other, StringComparison.Ordinal);
        Assert.DoesNotContain("Access-Control", other, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("*")]
    [InlineData("https://*.example")]
    [InlineData("chat.example")]
    [InlineData("https://chat.example/")]
    public void Wildcards_and_addresses_are_no_origins(string origin) =>
        Assert.Contains(nameof(ServerOptions.CorsOrigins), Assert.Throws<ConfigurationException>(() => new ServerOptions { CorsOrigins = [origin] }).Message, StringComparison.Ordinal);
}
