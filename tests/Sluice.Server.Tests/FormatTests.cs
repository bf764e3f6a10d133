namespace Sluice.Server.Tests;

/// <summary>Forms that answers are asked to have: until the engine can hold a model to one, all are refused, each for its own reason.</summary>
public sealed class FormatTests
{
    [Theory]
    [Trait("Check", "48")]
    [InlineData("""{"type":"xml"}""", "response_format.type", "unsupported_value")]
    [InlineData("""{"type":"json_schema"}""", "response_format.json_schema", "missing_required_parameter")]
    [InlineData("""{"type":"json_schema","json_schema":{"name":"a"}}""", "response_format.json_schema.schema", "missing_required_parameter")]
    [InlineData("""{"type":"json_schema","json_schema":{"name":"a","schema":5}}""", "response_format.json_schema.schema", "invalid_type")]
    [InlineData("""{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"hiccup"}}}""", "response_format", null)]
    [InlineData("""{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"string","pattern":"(a+)+("}}}""", "response_format", null)]
    public async Task A_format_that_cannot_be_is_refused_by_name(string format, string parameter, string? code)
    {
        await using TestServer server = await TestServer.StartAsync();
        var (response, body) = await server.PostAsync("/v1/chat/completions", TestServer.ChatBody("hi", $"\"response_format\":{format}"));
        Assert.Equal((400, parameter), ((int)response.StatusCode, (string?)body["error"]!["param"]));
        if (code is not null)
            Assert.Equal(code, (string)body["error"]!["code"]!);
        Assert.Equal("alive", RequestTests.Content(await server.ChatAsync("alive")));
    }
}
