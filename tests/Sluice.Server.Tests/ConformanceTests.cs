using System.Reflection;
using System.Text.Json.Nodes;

namespace Sluice.Server.Tests;

/// <summary>
/// The checks of API conformance, by number: each is the trait <c>Check</c> of the tests that make it, so that <c>-trait Check=33</c> runs
/// them. docs/server.md lists what the numbers mean.
/// </summary>
public sealed class ConformanceTests
{
    private const int Checks = 56;

    [Fact]
    public void Every_check_has_a_test()
    {
        HashSet<int> made =
        [
            .. typeof(ConformanceTests).Assembly.GetTypes()
                .SelectMany(t => t.GetMethods())
                .SelectMany(m => m.GetCustomAttributes<TraitAttribute>())
                .Where(t => t.Name == "Check")
                .Select(t => int.Parse(t.Value, System.Globalization.CultureInfo.InvariantCulture)),
        ];
        Assert.Equal(Enumerable.Range(1, Checks), made.Order());
    }

    [Fact]
    [Trait("Check", "52")]
    public async Task Embeddings_are_refused_clearly()
    {
        await using TestServer server = await TestServer.StartAsync();
        var (response, body) = await server.PostAsync("/v1/embeddings", """{"model":"echo","input":"x","encoding_format":"base64"}""");
        JsonNode error = body["error"]!;
        Assert.Equal((404, "not_found", "invalid_request_error"), ((int)response.StatusCode, (string)error["code"]!, (string)error["type"]!));
        Assert.Contains("embeddings", (string)error["message"]!, StringComparison.Ordinal);
    }
}
