using OllamaSharp;
using OllamaSharp.Models;
using OllamaSharp.Models.Chat;

namespace Sluice.Server.Tests;

/// <summary>OllamaSharp, unchanged, against the server.</summary>
public sealed class OllamaSharpClientTests
{
    [Fact]
    [Trait("Check", "55")]
    public async Task Chat_generate_and_list()
    {
        await using TestServer server = await TestServer.StartAsync();
        using var client = new OllamaApiClient(server.Address, TestServer.ModelId);
        Assert.Equal([TestServer.ModelId], (await client.ListLocalModelsAsync()).Select(m => m.Name));
        Assert.NotNull(await client.GetVersionAsync());
        Assert.Contains("completion", (await client.ShowModelAsync(new ShowModelRequest { Model = TestServer.ModelId })).Capabilities!);

        string text = "";
        ChatDoneResponseStream? done = null;
        await foreach (ChatResponseStream? part in client.ChatAsync(new ChatRequest { Messages = [new Message(ChatRole.User, "Grüß 🙂 Gott")] }))
        {
            text += part!.Message.Content;
            done = part as ChatDoneResponseStream ?? done;
        }

        Assert.Equal("Grüß 🙂 Gott", text);
        Assert.Equal("stop", done!.DoneReason);
        Assert.True(done.EvalCount > 3 && done.TotalDuration > 0);

        string generated = "";
        await foreach (GenerateResponseStream? part in client.GenerateAsync("Hello there"))
            generated += part!.Response;
        Assert.Equal("Hello there", generated);
    }

    [Fact]
    public async Task Tools_are_called()
    {
        await using TestServer server = await TestServer.StartAsync();
        using var client = new OllamaApiClient(server.Address, TestServer.ModelId);
        const string Call = "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 2}}\n</tool_call>";
        var request = new ChatRequest
        {
            Messages = [new Message(ChatRole.User, Call)],
            Tools = [new Tool { Function = new Function { Name = "add", Description = "Adds." } }],
        };
        var calls = new List<Message.ToolCall>();
        await foreach (ChatResponseStream? part in client.ChatAsync(request))
            calls.AddRange(part!.Message.ToolCalls ?? []);
        Message.ToolCall call = Assert.Single(calls);
        Assert.Equal("add", call.Function!.Name);
        Assert.Equal("2", call.Function.Arguments!["a"]!.ToString());
    }
}
