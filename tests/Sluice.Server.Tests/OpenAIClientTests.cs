using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Models;

namespace Sluice.Server.Tests;

/// <summary>The official OpenAI client for .NET, unchanged, against the server.</summary>
public sealed class OpenAIClientTests
{
    [Fact]
    public async Task Chat_whole_and_streamed()
    {
        await using TestServer server = await TestServer.StartAsync();
        ChatClient client = Client(server).GetChatClient(TestServer.ModelId);
        ChatMessage[] messages = [new SystemChatMessage("You repeat."), new UserChatMessage("Grüß 🙂 Gott")];
        ChatCompletion completion = await client.CompleteChatAsync(messages);
        Assert.Equal("Grüß 🙂 Gott", completion.Content[0].Text);
        Assert.Equal(ChatFinishReason.Stop, completion.FinishReason);
        Assert.Equal(ChatMessageRole.Assistant, completion.Role);
        Assert.Equal(completion.Usage.InputTokenCount + completion.Usage.OutputTokenCount, completion.Usage.TotalTokenCount);
        Assert.Null(completion.Refusal);

        var text = new StringBuilder();
        ChatFinishReason? reason = null;
        ChatTokenUsage? usage = null;
        await foreach (StreamingChatCompletionUpdate update in client.CompleteChatStreamingAsync(messages))
        {
            foreach (ChatMessageContentPart part in update.ContentUpdate)
                text.Append(part.Text);
            reason ??= update.FinishReason;
            usage ??= update.Usage;
        }

        Assert.Equal("Grüß 🙂 Gott", text.ToString());
        Assert.Equal(ChatFinishReason.Stop, reason);
        Assert.Equal(completion.Usage.TotalTokenCount, usage!.TotalTokenCount);
    }

    [Fact]
    public async Task Options_reach_the_engine()
    {
        await using TestServer server = await TestServer.StartAsync();
        ChatClient client = Client(server).GetChatClient(TestServer.ModelId);
        ChatCompletion cut = await client.CompleteChatAsync([new UserChatMessage("a b c d e f")], new ChatCompletionOptions { MaxOutputTokenCount = 2 });
        Assert.Equal(ChatFinishReason.Length, cut.FinishReason);
        Assert.Equal(2, cut.Usage.OutputTokenCount);

        ChatCompletion stopped = await client.CompleteChatAsync([new UserChatMessage("a b c d e f")], new ChatCompletionOptions { StopSequences = { "d" } });
        Assert.Equal("a b c ", stopped.Content[0].Text);

        var options = new ChatCompletionOptions
        {
            Temperature = 1.2f,
            TopP = 0.95f,
            FrequencyPenalty = 0.5f,
            PresencePenalty = 0.5f,
            EndUserId = "somebody",
            IncludeLogProbabilities = true,
            TopLogProbabilityCount = 2,
            MaxOutputTokenCount = 12,
#pragma warning disable OPENAI001 // Seed is marked experimental.
            Seed = 11,
#pragma warning restore OPENAI001
        };
        ChatCompletion first = await client.CompleteChatAsync([new UserChatMessage("#free")], options);
        ChatCompletion again = await client.CompleteChatAsync([new UserChatMessage("#free")], options);
        Assert.Equal(first.Content[0].Text, again.Content[0].Text);
        Assert.Equal(first.Content[0].Text, Encoding.UTF8.GetString([.. first.ContentTokenLogProbabilities.SelectMany(t => t.Utf8Bytes!.Value.ToArray())]));
        Assert.All(first.ContentTokenLogProbabilities, t => Assert.Equal(2, t.TopLogProbabilities.Count));
    }

    [Fact]
    public async Task Tool_calls_and_their_results_round_trip()
    {
        await using TestServer server = await TestServer.StartAsync();
        ChatClient client = Client(server).GetChatClient(TestServer.ModelId);
        ChatTool tool = ChatTool.CreateFunctionTool("add", "Adds.", BinaryData.FromString("""{"type":"object","properties":{"a":{"type":"integer"}}}"""));
        ChatMessage[] messages =
        [
            new UserChatMessage("What is 2+2?"),
            new AssistantChatMessage([ChatToolCall.CreateFunctionToolCall("call_1", "add", BinaryData.FromString("""{"a":2,"b":2}"""))]),
            new ToolChatMessage("call_1", "4"),
            new UserChatMessage("#prompt"),
        ];
        ChatCompletion completion = await client.CompleteChatAsync(messages, new ChatCompletionOptions { Tools = { tool }, ToolChoice = ChatToolChoice.CreateAutoChoice() });
        Assert.Contains("""{"name": "add", "arguments": {"a": 2, "b": 2}}""", completion.Content[0].Text, StringComparison.Ordinal);
        Assert.Contains("<tool_response>\n4\n</tool_response>", completion.Content[0].Text, StringComparison.Ordinal);
        Assert.Contains("\"description\": \"Adds.\"", completion.Content[0].Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Errors_arrive_with_status_and_message()
    {
        await using TestServer server = await TestServer.StartAsync();
        var unknown = await Assert.ThrowsAsync<ClientResultException>(() => Client(server).GetChatClient("gpt-5").CompleteChatAsync([new UserChatMessage("x")]));
        Assert.Equal(404, unknown.Status);
        Assert.Contains("no model of this name", unknown.Message, StringComparison.Ordinal);

        var invalid = await Assert.ThrowsAsync<ClientResultException>(() => Client(server).GetChatClient(TestServer.ModelId)
            .CompleteChatAsync([new UserChatMessage("x")], new ChatCompletionOptions { Temperature = -3 }));
        Assert.Equal(400, invalid.Status);
        Assert.Contains("temperature", invalid.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stream_that_fails_late_fails_loudly()
    {
        await using TestServer server = await TestServer.StartAsync();
        ChatClient client = Client(server).GetChatClient(TestServer.ModelId);
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            await foreach (StreamingChatCompletionUpdate update in client.CompleteChatStreamingAsync([new UserChatMessage("#poison 4")]))
            {
            }
        });
    }

    [Fact]
    public async Task A_cancelled_stream_stops_the_engine()
    {
        await using TestServer server = await TestServer.StartAsync();
        ChatClient client = Client(server).GetChatClient(TestServer.ModelId);
        int updates = 0;
        await foreach (StreamingChatCompletionUpdate update in client.CompleteChatStreamingAsync([new UserChatMessage("#endless")]))
        {
            if (++updates == 20)
                break;
        }

        await server.AssertIdleAsync();
    }

    [Fact]
    public async Task Models_are_listed_and_retrieved()
    {
        await using TestServer server = await TestServer.StartAsync();
        OpenAIModelClient client = Client(server).GetOpenAIModelClient();
        OpenAIModelCollection models = await client.GetModelsAsync();
        Assert.Equal([TestServer.ModelId], models.Select(m => m.Id));
        OpenAIModel model = await client.GetModelAsync(TestServer.ModelId);
        Assert.Equal("sluice", model.OwnedBy);
    }

    private static OpenAIClient Client(TestServer server) => new(
        new ApiKeyCredential("any"),
        new OpenAIClientOptions { Endpoint = new Uri(server.Address, "v1"), RetryPolicy = new ClientRetryPolicy(maxRetries: 0) });
}
