using System.Text.Json;
using System.Text.Json.Nodes;

namespace Sluice.Server.Tests;

/// <summary>Forms that answers are asked to have: the model is held to what can be, and what cannot is refused by name.</summary>
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

    [Fact]
    [Trait("Check", "46")]
    public async Task A_schema_holds_whatever_the_model_would_rather_say()
    {
        const string Schema = """
            {"type":"object","properties":{"name":{"type":"string","maxLength":12},"age":{"type":"integer","minimum":0,"maximum":150},
            "tags":{"type":"array","items":{"enum":["a","b"]},"maxItems":3}},"required":["name","age","tags"],"additionalProperties":false}
            """;
        await using TestServer server = await TestServer.StartAsync();
        for (int seed = 0; seed < 10; seed++)
        {
            string more = $"\"seed\":{seed},\"temperature\":1.5,\"response_format\":{{\"type\":\"json_schema\",\"json_schema\":{{\"name\":\"person\",\"strict\":true,\"schema\":{Schema}}}}}";
            JsonNode answer = await server.ChatAsync("#free", more);
            JsonNode person = JsonNode.Parse(RequestTests.Content(answer))!;
            Assert.Equal(["name", "age", "tags"], person.AsObject().Select(property => property.Key));
            Assert.InRange((int)person["age"]!, 0, 150);
            Assert.All(person["tags"]!.AsArray(), tag => Assert.Contains((string)tag!, "ab", StringComparison.Ordinal));
            Assert.Equal("stop", (string?)answer["choices"]![0]!["finish_reason"]);
        }
    }

    [Fact]
    [Trait("Check", "47")]
    public async Task Any_object_is_what_the_model_would_say_if_that_is_one()
    {
        await using TestServer server = await TestServer.StartAsync();
        const string Said = """{"a": [1, 2, {"b": null}], "c": "d"}""";
        JsonNode answer = await server.ChatAsync(Said, "\"response_format\":{\"type\":\"json_object\"}");
        Assert.Equal(Said, RequestTests.Content(answer));
    }

    [Fact]
    [Trait("Check", "49")]
    public async Task A_limit_may_cut_an_object()
    {
        await using TestServer server = await TestServer.StartAsync();
        JsonNode answer = await server.ChatAsync("""{"a": "long enough to be cut"}""", "\"max_tokens\":4,\"response_format\":{\"type\":\"json_object\"}");
        Assert.Equal("length", (string?)answer["choices"]![0]!["finish_reason"]);
        Assert.ThrowsAny<JsonException>(() => JsonNode.Parse(RequestTests.Content(answer)));
    }
}
