using System.ClientModel;
using System.ClientModel.Primitives;
using System.ComponentModel;
using Microsoft.Extensions.AI;
using OpenAI;

namespace Sluice.Server.Tests;

/// <summary>Microsoft.Extensions.AI over the OpenAI client, unchanged, against the server.</summary>
public sealed class ExtensionsAIClientTests
{
    [Fact]
    [Trait("Check", "50")]
    public async Task Chat_thinks_and_streams()
    {
        await using TestServer server = await TestServer.StartAsync();
        using IChatClient client = Client(server);
        ChatResponse response = await client.GetResponseAsync("<think>\nhm\n</think>\n\nGrüß 🙂 Gott");
        Assert.Equal("Grüß 🙂 Gott", response.Text);
        Assert.Equal(ChatFinishReason.Stop, response.FinishReason);
        Assert.True(response.Usage!.OutputTokenCount > 3);
        ChatResponse streamed = await client.GetStreamingResponseAsync("Grüß 🙂 Gott").ToChatResponseAsync(TestContext.Current.CancellationToken);
        Assert.Equal("Grüß 🙂 Gott", streamed.Text);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Tools_are_called_by_the_client(bool stream)
    {
        await using TestServer server = await TestServer.StartAsync();
        int called = 0;
        AIFunction add = AIFunctionFactory.Create([Description("Adds.")] (int a, int b) => { called++; return a + b; }, "add");
        using IChatClient client = new ChatClientBuilder(Client(server)).UseFunctionInvocation().Build();

        // The model repeats the user's last message, so the client calls until it has had enough.
        var options = new ChatOptions { Tools = [add] };
        const string Call = "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 2, \"b\": 3}}\n</tool_call>";
        ((FunctionInvokingChatClient)client).MaximumIterationsPerRequest = 1;
        ChatResponse response = stream
            ? await client.GetStreamingResponseAsync(Call, options).ToChatResponseAsync(TestContext.Current.CancellationToken)
            : await client.GetResponseAsync(Call, options);
        Assert.Equal(1, called);
        Assert.Equal("5", response.Messages.SelectMany(m => m.Contents).OfType<FunctionResultContent>().First().Result!.ToString());
    }

    [Fact]
    public async Task Errors_are_loud()
    {
        await using TestServer server = await TestServer.StartAsync();
        using IChatClient client = Client(server);
        await Assert.ThrowsAsync<ClientResultException>(() => client.GetResponseAsync("x", new ChatOptions { Temperature = -1 }));
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            await foreach (ChatResponseUpdate _ in client.GetStreamingResponseAsync("#poison 4"))
            {
            }
        });
        await server.AssertIdleAsync();
    }

    private static IChatClient Client(TestServer server) => new OpenAIClient(
        new ApiKeyCredential("any"),
        new OpenAIClientOptions { Endpoint = new Uri(server.Address, "v1"), RetryPolicy = new ClientRetryPolicy(maxRetries: 0) })
        .GetChatClient(TestServer.ModelId).AsIChatClient();
}
