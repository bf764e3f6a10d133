using System.Text.Json;
using Microsoft.Extensions.AI;
using Sluice.Core;

namespace Sluice.Extensions.AI.Tests;

/// <summary>
/// Answers that must be JSON, or a call: the model is held to it, whatever it would rather say. In turn with <see cref="ChatTests"/>, which
/// wait for the engine to have nothing to do: such answers can be long.
/// </summary>
[Collection(nameof(ChatTests))]
public sealed class FormTests(DemoModel demo)
{
    private const string Question = "Extract name and age as JSON: Ben is 34 years old.";
    private static readonly AIFunction Buy = AIFunctionFactory.Create((string item, int count) => item + count, "buy", "Buy things at the shop.");
    private static readonly AIFunction GetTime = DemoModel.GetTime(static city => city);

    [Fact]
    public async Task Json_is_an_object()
    {
        ChatOptions options = DemoModel.Greedy();
        options.ResponseFormat = ChatResponseFormat.Json;
        ChatResponse response = await demo.Client.GetResponseAsync(Question, options);
        Assert.Equal(JsonValueKind.Object, Parse(response.Text).ValueKind);
        Assert.Equal(ChatFinishReason.Stop, response.FinishReason);
    }

    [Fact]
    public async Task A_schema_is_followed_at_any_temperature()
    {
        foreach (float temperature in (float[])[0, 1.5f])
        {
            var options = new ChatOptions { Temperature = temperature, Seed = 3, ResponseFormat = ChatResponseFormat.ForJsonSchema<Person>(), AdditionalProperties = new() { ["strict"] = true } };
            JsonElement answer = Parse((await demo.Client.GetResponseAsync(Question, options)).Text);
            Assert.Equal(["Age", "Name"], answer.EnumerateObject().Select(p => p.Name).Order(StringComparer.OrdinalIgnoreCase).Select(n => char.ToUpperInvariant(n[0]) + n[1..]));
        }
    }

    [Fact]
    public async Task Typed_answers_work()
    {
        ChatResponse<Person> response = await demo.Client.GetResponseAsync<Person>(Question, new ChatOptions { Temperature = 0, MaxOutputTokens = 300 });
        Assert.True(response.TryGetResult(out Person? person), response.Text);
        Assert.NotNull(person.Name);
    }

    [Fact]
    public async Task A_call_can_be_demanded()
    {
        ChatOptions options = DemoModel.Greedy(Buy, GetTime);
        options.ToolMode = ChatToolMode.RequireAny;
        ChatResponse response = await demo.Client.GetResponseAsync("What is 92 + 30?", options);
        Assert.Contains(Assert.IsType<FunctionCallContent>(response.Messages[0].Contents[0]).Name, (string[])["buy", "get_time"]);
        Assert.Equal(ChatFinishReason.ToolCalls, response.FinishReason);

        foreach (string name in (string[])["buy", "get_time"])
        {
            options.ToolMode = ChatToolMode.RequireSpecific(name);
            options.AllowMultipleToolCalls = false;
            response = await demo.Client.GetResponseAsync("What is 92 + 30?", options);
            Assert.Equal(name, Assert.Single(response.Messages[0].Contents.OfType<FunctionCallContent>()).Name);
            Assert.Equal("", response.Text);
        }
    }

    [Fact]
    public async Task What_cannot_be_demanded_is_refused()
    {
        RequestException noTools = await Assert.ThrowsAsync<RequestException>(() => demo.Client.GetResponseAsync("x", new ChatOptions { ToolMode = ChatToolMode.RequireAny }));
        Assert.Equal("ToolMode demands a call, but there are no tools", noTools.Message);
        RequestException unknown = await Assert.ThrowsAsync<RequestException>(
            () => demo.Client.GetResponseAsync("x", new ChatOptions { Tools = [Buy], ToolMode = ChatToolMode.RequireSpecific("sell") }));
        Assert.Equal("ToolMode", unknown.Parameter);
        using JsonDocument schema = JsonDocument.Parse("""{"type":"nothing"}""");
        RequestException wrong = await Assert.ThrowsAsync<RequestException>(
            () => demo.Client.GetResponseAsync("x", new ChatOptions { ResponseFormat = ChatResponseFormat.ForJsonSchema(schema.RootElement) }));
        Assert.StartsWith("ResponseFormat", wrong.Parameter, StringComparison.Ordinal);
    }

    private static JsonElement Parse(string text)
    {
        using JsonDocument document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }

    private sealed record Person(string Name, int Age);
}
