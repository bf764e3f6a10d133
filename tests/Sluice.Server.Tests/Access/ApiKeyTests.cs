using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Sluice.Core;
using Sluice.Server.Access;

namespace Sluice.Server.Tests.Access;

/// <summary>Who comes in: with any key set, nobody without one, at whatever address and however it is written.</summary>
public sealed class ApiKeyTests
{
    private const string Key = "sk-0123456789abcdefghij";
    private static readonly ServerOptions Locked = new() { ApiKeys = [ApiKey.Of("alice", Key)] };

    /// <summary>The only routes that say anything to a stranger, besides the files of the page.</summary>
    private static readonly string[] Open = ["/health/live", "/health/ready", "/"];

    /// <summary>Ways to write a path that routers, proxies and string comparisons read differently.</summary>
    public static TheoryData<string> Disguises => new("//v1/models", "/v1//models", "/%76%31/models", "/v1%2fmodels", "/V1/MODELS", "/v1/models/", "/v1/./models", "/health/live/../../v1/models", "/health/live%2f..%2f..%2fv1%2fmodels", "/v1/models?x=/health/live", "/v1/models#/health/live", "/v1/models;/health/live", "http://localhost/health/live/../../v1/models", "http://localhost/v1/models", "/health/live//v1/models");

    [Fact]
    [Trait("Check", "24")]
    public async Task Every_endpoint_needs_a_key_but_the_two_that_balancers_ask_and_the_page_that_asks_for_one()
    {
        await using TestServer server = await TestServer.StartAsync(Locked);
        RouteEndpoint[] endpoints = [.. server.App.Services.GetServices<EndpointDataSource>().Concat(((IEndpointRouteBuilder)server.App).DataSources).SelectMany(s => s.Endpoints).OfType<RouteEndpoint>().Distinct()];
        Assert.True(endpoints.Length > 10);
        foreach (RouteEndpoint endpoint in endpoints)
        {
            string path = endpoint.RoutePattern.RawText!.Replace("{**id}", "echo", StringComparison.Ordinal).Replace("{documentName}", "v1", StringComparison.Ordinal).Replace("{documentName?}", "", StringComparison.Ordinal);
            foreach (string method in endpoint.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods ?? ["GET"])
            {
                using var request = new HttpRequestMessage(new HttpMethod(method), path.StartsWith('/') ? path : $"/{path}");
                using HttpResponseMessage response = await server.Http.SendAsync(request);
                Assert.Equal((path, Open.Contains(path) || path.StartsWith("/page/", StringComparison.Ordinal) ? 200 : 401), (path, (int)response.StatusCode));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Disguises))]
    public async Task A_path_in_disguise_opens_nothing(string target)
    {
        await using TestServer server = await TestServer.StartAsync(Locked);
        foreach (string host in (string[])["localhost", "localhost/v1/models?", "localhost/health/live", "127.0.0.1", "x/health/live", "", "localhost:80:80", "[::1]"])
        {
            foreach (string method in (string[])["GET", "HEAD", "POST", "OPTIONS", "get", "TRACE", "FOO"])
            {
                string request = $"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
                string response = await RawClient.SendAsync(server, request);
                Assert.True(response.Length == 0 || response[9] == '4', $"{request}: {response}");
                Assert.DoesNotContain("\"echo\"", response, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public async Task A_refusal_has_the_api_s_shape_and_says_how_to_come_in()
    {
        await using TestServer server = await TestServer.StartAsync(Locked);
        var (response, body) = await server.PostAsync("/v1/chat/completions", TestServer.ChatBody("hi"));
        Assert.Equal(401, (int)response.StatusCode);
        Assert.StartsWith("Bearer", response.Headers.WwwAuthenticate.Single().ToString(), StringComparison.Ordinal);
        JsonObject error = body["error"]!.AsObject();
        Assert.Equal(("invalid_request_error", "invalid_api_key"), ((string)error["type"]!, (string)error["code"]!));
        Assert.Equal(["code", "message", "param", "type"], error.Select(e => e.Key).Order());
        Assert.StartsWith("req-", response.Headers.GetValues("x-request-id").Single(), StringComparison.Ordinal);
        Assert.Equal(0, server.Engine.Status.Steps);
    }

    [Theory]
    [InlineData("Authorization", "Bearer " + Key, true)]
    [InlineData("Authorization", "bearer " + Key, true)]
    [InlineData("Authorization", "Bearer  " + Key, true)]
    [InlineData("x-api-key", Key, true)]
    [InlineData("X-Api-Key", Key, true)]
    [InlineData("Authorization", Key, false)]
    [InlineData("Authorization", "Basic " + Key, false)]
    [InlineData("Authorization", "Bearer", false)]
    [InlineData("Authorization", "Bearer ", false)]
    [InlineData("Authorization", "Bearer " + Key + "x", false)]
    [InlineData("Authorization", "Bearer SK-0123456789ABCDEFGHIJ", false)]
    [InlineData("x-api-key", "", false)]
    [InlineData("api-key", Key, false)]
    [InlineData("Cookie", "key=" + Key, false)]
    public async Task A_key_comes_in_one_of_two_headers(string header, string value, bool opens)
    {
        await using TestServer server = await TestServer.StartAsync(Locked);
        Assert.Equal(opens ? 200 : 401, await RawClient.StatusAsync(server, $"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}: {value}\r\n\r\n"));
    }

    [Fact]
    public async Task A_header_that_repeats_or_contradicts_is_no_key()
    {
        await using TestServer server = await TestServer.StartAsync(Locked);
        foreach (string headers in (string[])[
            $"Authorization: Bearer {Key}\r\nAuthorization: Bearer wrong-wrong-wrong-wrong",
            $"Authorization: Bearer wrong-wrong-wrong-wrong\r\nx-api-key: {Key}",
            $"x-api-key: {Key}\r\nx-api-key: {Key}"])
        {
            int status = await RawClient.StatusAsync(server, $"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n\r\n");
            Assert.True(status is 400 or 401, $"{headers}: {status}");
        }
    }

    [Fact]
    public async Task Keys_that_share_their_beginning_are_told_apart()
    {
        ApiKey[] keys = [.. Enumerable.Range(0, Key.Length).Select(i => ApiKey.Of($"k{i}", Key[..i] + new string('#', Key.Length - i)))];
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { ApiKeys = [.. keys, ApiKey.Of("whole", Key)] });
        for (int shared = 0; shared <= Key.Length; shared++)
        {
            string asked = Key[..shared] + new string(shared % 2 == 0 ? '#' : '?', Key.Length - shared);
            bool isKnown = shared == Key.Length || shared % 2 == 0;
            int status = await RawClient.StatusAsync(server, $"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx-api-key: {asked}\r\n\r\n");
            Assert.Equal((shared, isKnown ? 200 : 401), (shared, status));
            if (isKnown)
                await server.LoggedAsync(shared == Key.Length ? " whole GET" : $" k{shared} GET");
        }
    }

    [Fact]
    public async Task Without_keys_any_key_is_fine()
    {
        await using TestServer server = await TestServer.StartAsync(key: "any");
        Assert.Equal(200, (await server.GetAsync("/v1/models")).Status);
        Assert.Equal(200, (await server.GetAsync("/metrics")).Status);
    }

    [Fact]
    public async Task Metrics_and_description_may_be_made_public_and_nothing_else_is()
    {
        await using TestServer server = await TestServer.StartAsync(Locked with { PublicMetrics = true, PublicDocs = true });
        foreach (string path in (string[])["/metrics", "/openapi/v1.json", "/scalar/", "/scalar/scalar.js"])
            Assert.Equal((path, 200), (path, (await server.GetAsync(path)).Status));
        Assert.Equal(401, (await server.GetAsync("/health")).Status);
        Assert.Equal(401, (await server.GetAsync("/v1/models")).Status);
    }

    [Fact]
    public void Keys_share_a_cache_only_in_a_group()
    {
        ApiKey alice = ApiKey.Of("alice", Key), bob = ApiKey.Of("bob", "sk-another-key-entirely");
        Assert.NotEqual(alice.CacheSalt, bob.CacheSalt);
        Assert.NotEqual("", alice.CacheSalt);
        Assert.Equal(alice.CacheSalt, ApiKey.Of("renamed", Key).CacheSalt);
        Assert.Equal((alice with { CacheGroup = "team" }).CacheSalt, (bob with { CacheGroup = "team" }).CacheSalt);
        Assert.NotEqual((alice with { CacheGroup = "team" }).CacheSalt, (bob with { CacheGroup = "other" }).CacheSalt);
        Assert.DoesNotContain(Convert.ToHexString(alice.Hash), alice.CacheSalt, StringComparison.Ordinal);
        Assert.DoesNotContain("0123456789abcdef", alice.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("short")]
    [InlineData("with a space in it, long enough")]
    [InlineData("with-an-umlaut-ü-in-it")]
    public void What_cannot_be_a_key_is_refused_without_repeating_it(string key)
    {
        string message = Assert.Throws<ConfigurationException>(() => ApiKey.Of("alice", key)).Message;
        Assert.DoesNotContain(key, message, StringComparison.Ordinal);
        Assert.Contains("'alice'", message, StringComparison.Ordinal);
        Assert.Contains("openssl rand", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_hash_stands_for_its_key()
    {
        Assert.Equal(ApiKey.Of("a", Key).Hash, ApiKey.OfSha256("a", Convert.ToHexStringLower(ApiKey.Of("a", Key).Hash)).Hash);
        Assert.Throws<ConfigurationException>(() => ApiKey.OfSha256("a", "abc"));
        Assert.Throws<ConfigurationException>(() => ApiKey.OfSha256("a", new string('g', 64)));
    }

    [Fact]
    public async Task Two_keys_of_one_name_or_one_key_of_two_names_are_refused()
    {
        await Assert.ThrowsAsync<ConfigurationException>(() => TestServer.StartAsync(new ServerOptions { ApiKeys = [ApiKey.Of("a", Key), ApiKey.Of("a", Key + "x")] }));
        await Assert.ThrowsAsync<ConfigurationException>(() => TestServer.StartAsync(new ServerOptions { ApiKeys = [ApiKey.Of("a", Key), ApiKey.Of("b", Key)] }));
    }
}
