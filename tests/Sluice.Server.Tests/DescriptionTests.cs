using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Routing;

namespace Sluice.Server.Tests;

/// <summary>The API's description and its page.</summary>
public sealed partial class DescriptionTests
{
    [Fact]
    public async Task Every_endpoint_is_described()
    {
        await using TestServer server = await TestServer.StartAsync();
        var (status, text) = await server.GetAsync("/openapi/v1.json");
        Assert.Equal(200, status);
        JsonNode document = JsonNode.Parse(text)!;
        Assert.StartsWith("3.", (string)document["openapi"]!, StringComparison.Ordinal);
        foreach (RouteEndpoint endpoint in ((IEndpointRouteBuilder)server.App).DataSources.SelectMany(s => s.Endpoints).OfType<RouteEndpoint>())
        {
            string route = endpoint.RoutePattern.RawText!;
            if (route is "/" || new[] { "scalar", "openapi", "page/" }.Any(page => route.TrimStart('/').StartsWith(page, StringComparison.Ordinal)))
                continue;
            string method = endpoint.Metadata.GetMetadata<HttpMethodMetadata>()!.HttpMethods[0].ToLowerInvariant();
            JsonNode? operation = document["paths"]![route.Replace("{**id}", "{id}", StringComparison.Ordinal)]?[method];
            Assert.True(operation is not null, $"{method} {route} is not described");
            Assert.NotEmpty((string)operation["summary"]!);
            Assert.Equal(method == "post" && !route.StartsWith("/debug", StringComparison.Ordinal), operation["requestBody"] is not null);
        }

        JsonNode chat = document["paths"]!["/v1/chat/completions"]!["post"]!;
        JsonNode schema = chat["requestBody"]!["content"]!["application/json"]!["schema"]!;
        if (schema["$ref"] is { } reference)
            schema = document["components"]!["schemas"]![((string)reference!).Split('/')[^1]]!;
        Assert.NotNull(schema["properties"]!["max_completion_tokens"]);
        Assert.NotNull(schema["properties"]!["stream_options"]);
        Assert.Contains("messages", schema["required"]!.AsArray().Select(r => (string)r!));
    }

    [Fact]
    public async Task The_page_comes_with_all_it_needs_and_may_load_nothing_else()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpResponseMessage response = await server.Http.GetAsync(new Uri("/scalar/", UriKind.Relative));
        string page = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode);
        Assert.DoesNotMatch(ForeignAddress(), page);
        string policy = response.Headers.GetValues("Content-Security-Policy").Single();
        Assert.Contains("default-src 'none'", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("http", policy, StringComparison.Ordinal);
        foreach (Match script in Source().Matches(page))
        {
            var (status, text) = await server.GetAsync($"/scalar/{script.Groups["file"].Value}");
            Assert.Equal((script.Value, 200), (script.Value, status));
            Assert.True(text.Length > 100);
        }

        Assert.True(Source().Count(page) >= 2);
    }

    [GeneratedRegex("""(https?:)?//[a-z0-9.-]+\.[a-z]{2,}""", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex ForeignAddress();

    [GeneratedRegex("""src="(?<file>[^"]+\.js)["?]""", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex Source();
}
