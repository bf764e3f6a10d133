#pragma warning disable OPENAI001 // The client is marked experimental.
using System.ClientModel;
using System.ClientModel.Primitives;
using OpenAI;
using OpenAI.Responses;

namespace Sluice.Server.Tests;

/// <summary>The official OpenAI client's responses, unchanged, against the server.</summary>
public sealed class OpenAIResponsesClientTests
{
    [Fact]
    [Trait("Check", "53")]
    public async Task Responses_whole_streamed_and_kept()
    {
        await using TestServer server = await TestServer.StartAsync();
        ResponsesClient client = Client(server);
        ResponseResult response = await client.CreateResponseAsync(TestServer.ModelId, "Grüß 🙂 Gott");
        Assert.Equal("Grüß 🙂 Gott", response.GetOutputText());
        Assert.Equal(ResponseStatus.Completed, response.Status);
        ResponseResult again = await client.GetResponseAsync(response.Id);
        Assert.Equal(response.GetOutputText(), again.GetOutputText());

        string text = "";
        ResponseResult? last = null;
        var options = new CreateResponseOptions
        {
            Model = TestServer.ModelId,
            StreamingEnabled = true,
            PreviousResponseId = response.Id,
            InputItems = { ResponseItem.CreateUserMessageItem("<think>\nhm\n</think>\n\nAnd again") },
        };
        await foreach (StreamingResponseUpdate update in await client.CreateResponseStreamingAsync(options))
        {
            text += (update as StreamingResponseOutputTextDeltaUpdate)?.Delta;
            last = (update as StreamingResponseCompletedUpdate)?.Response ?? last;
        }

        Assert.Equal("And again", text);
        Assert.IsType<ReasoningResponseItem>(last!.OutputItems[0]);
        Assert.IsAssignableFrom<MessageResponseItem>(last.OutputItems[1]);
    }

    [Fact]
    public async Task Functions_are_called()
    {
        await using TestServer server = await TestServer.StartAsync();
        var options = new CreateResponseOptions
        {
            Model = TestServer.ModelId,
            InputItems = { ResponseItem.CreateUserMessageItem("<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 2}}\n</tool_call>") },
            Tools = { ResponseTool.CreateFunctionTool("add", BinaryData.FromString("""{"type":"object"}"""), strictModeEnabled: false) },
        };
        ResponseResult response = await Client(server).CreateResponseAsync(options);
        FunctionCallResponseItem call = Assert.IsType<FunctionCallResponseItem>(Assert.Single(response.OutputItems));
        Assert.Equal(("add", """{"a": 2}"""), (call.FunctionName, call.FunctionArguments.ToString()));
    }

    private static ResponsesClient Client(TestServer server) => new OpenAIClient(
        new ApiKeyCredential("any"),
        new OpenAIClientOptions { Endpoint = new Uri(server.Address, "v1"), RetryPolicy = new ClientRetryPolicy(maxRetries: 0) }).GetResponsesClient();
}
