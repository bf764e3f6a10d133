using Microsoft.Extensions.AI;
using Sluice.Core;

namespace Sluice.Extensions.AI.Tests;

[Collection(nameof(ChatTests))]
public sealed class ChatTests(DemoModel demo)
{
    private const string Thinking = "Think step by step: what is 57 + 23 - 12?";

    [Fact]
    public async Task It_answers()
    {
        ChatResponse response = await demo.Client.GetResponseAsync("What is 92 + 30?", DemoModel.Greedy());
        Assert.Equal("92 + 30 = 122", response.Text);
        Assert.Equal(ChatFinishReason.Stop, response.FinishReason);
        Assert.Equal("demo", response.ModelId);
        Assert.Equal(ChatRole.Assistant, Assert.Single(response.Messages).Role);
        Assert.NotNull(response.CreatedAt);
        Assert.NotNull(response.ResponseId);
    }

    [Theory]
    [InlineData("What does Path.GetTempPath do?")]
    [InlineData(Thinking)]
    [InlineData(DemoModel.Time)]
    public async Task Streaming_gives_the_same(string question)
    {
        ChatOptions options = DemoModel.Greedy(DemoModel.GetTime(_ => "")).Clone();
        ChatResponse whole = await demo.Client.GetResponseAsync(question, options);
        List<ChatResponseUpdate> updates = [];
        await foreach (ChatResponseUpdate update in demo.Client.GetStreamingResponseAsync(question, options))
            updates.Add(update);
        ChatResponse streamed = updates.ToChatResponse();
        Assert.Equal(Describe(whole), Describe(streamed));
        Assert.Equal(whole.FinishReason, streamed.FinishReason);
        Assert.Equal(whole.Usage!.OutputTokenCount, streamed.Usage!.OutputTokenCount);
        Assert.Equal(whole.Usage.InputTokenCount, streamed.Usage.InputTokenCount);
        Assert.All(updates, update => Assert.Equal(updates[0].ResponseId, update.ResponseId));
        Assert.All(updates.SkipLast(1), update => Assert.Null(update.FinishReason));
    }

    [Fact]
    public async Task Reasoning_is_content_of_its_own()
    {
        ChatResponse response = await demo.Client.GetResponseAsync(Thinking, DemoModel.Greedy());
        Assert.Equal("57 + 23 = 80\n80 - 12 = 68", Assert.Single(response.Messages[0].Contents.OfType<TextReasoningContent>()).Text);
        Assert.Equal("The answer is 68.", response.Text);
        Assert.InRange(response.Usage!.ReasoningTokenCount!.Value, 10, response.Usage.OutputTokenCount!.Value - 5);

        ChatOptions hidden = DemoModel.Greedy();
        hidden.Reasoning = new ReasoningOptions { Output = ReasoningOutput.None };
        ChatResponse without = await demo.Client.GetResponseAsync(Thinking, hidden);
        Assert.Empty(without.Messages[0].Contents.OfType<TextReasoningContent>());
        Assert.Equal(response.Text, without.Text);
    }

    [Fact]
    public async Task A_conversation_goes_on_and_its_beginning_is_cached()
    {
        List<ChatMessage> conversation = [new(ChatRole.System, "You are a helpful assistant."), new(ChatRole.User, "Remember these codes: zebra=7407, quartz=1492.")];
        ChatResponse first = await demo.Client.GetResponseAsync(conversation, DemoModel.Greedy());
        Assert.Equal("I will remember them.", first.Text);
        conversation.AddMessages(first);
        conversation.Add(new ChatMessage(ChatRole.User, "What is the code of the zebra?"));
        ChatResponse second = await demo.Client.GetResponseAsync(conversation, DemoModel.Greedy());
        Assert.Equal("The code of the zebra is 7407.", second.Text);
        Assert.Equal(second.Usage!.InputTokenCount + second.Usage.OutputTokenCount, second.Usage.TotalTokenCount);

        ChatResponse again = await demo.Client.GetResponseAsync(conversation, DemoModel.Greedy());
        Assert.Equal(second.Text, again.Text);
        Assert.InRange(again.Usage!.CachedInputTokenCount!.Value, 1, again.Usage.InputTokenCount!.Value - 1);
    }

    [Fact]
    public async Task Instructions_are_a_system_message()
    {
        ChatOptions options = DemoModel.Greedy();
        options.Instructions = "You are a helpful assistant.";
        ChatResponse instructed = await demo.Client.GetResponseAsync("What is 1 + 2?", options);
        ChatResponse system = await demo.Client.GetResponseAsync(
            [new ChatMessage(ChatRole.System, "You are a helpful assistant."), new ChatMessage(ChatRole.User, "What is 1 + 2?")], DemoModel.Greedy());
        Assert.Equal(system.Usage!.InputTokenCount, instructed.Usage!.InputTokenCount);
        Assert.Equal(system.Text, instructed.Text);
    }

    [Fact]
    public async Task Many_conversations_at_once_keep_apart()
    {
        Task<(int Sum, string Answer)>[] chats =
        [
            .. Enumerable.Range(10, 12).Select(async n =>
            {
                ChatResponse response = await demo.Client.GetResponseAsync($"What is {n} + {n + 3}?", DemoModel.Greedy());
                return ((2 * n) + 3, response.Text);
            }),
        ];
        foreach ((int sum, string answer) in await Task.WhenAll(chats))
            Assert.EndsWith($"= {sum}", answer);
    }

    [Fact]
    public async Task Cancelling_stops_the_engine()
    {
        using var source = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (ChatResponseUpdate update in demo.Client.GetStreamingResponseAsync("Hello", DemoModel.Endless, source.Token))
                await source.CancelAsync();
        });
        await demo.IdleAsync();

        using var before = new CancellationTokenSource();
        await before.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => demo.Client.GetResponseAsync("Hello", DemoModel.Endless, before.Token));
    }

    [Fact]
    public async Task Leaving_early_stops_the_engine()
    {
        await foreach (ChatResponseUpdate update in demo.Client.GetStreamingResponseAsync("Hello", DemoModel.Endless))
            break;
        await demo.IdleAsync();
    }

    [Fact]
    public async Task Errors_of_the_engine_pass_through()
    {
        ChatOptions options = new() { MaxOutputTokens = 1_000_000 };
        RequestException tooLong = await Assert.ThrowsAsync<RequestException>(() => demo.Client.GetResponseAsync("Hello", options));
        Assert.Equal("context_length_exceeded", tooLong.Code);
        Assert.Equal("messages", (await Assert.ThrowsAsync<RequestException>(() => demo.Client.GetResponseAsync([], options))).Parameter);
    }

    [Fact]
    public void Services_can_be_asked_for()
    {
        IChatClient client = demo.Client;
        ChatClientMetadata metadata = client.GetRequiredService<ChatClientMetadata>();
        Assert.Equal("sluice", metadata.ProviderName);
        Assert.Equal("demo", metadata.DefaultModelId);
        Assert.Same(demo.Model, client.GetService<SluiceModel>());
        Assert.Same(client, client.GetService<IChatClient>());
        Assert.Null(client.GetService<string>());
        Assert.Null(client.GetService<SluiceModel>("key"));
    }

    private static string Describe(ChatResponse response) => string.Join('\n', response.Messages.SelectMany(message => message.Contents).Select(content => content switch
    {
        TextContent text => $"text {text.Text}",
        TextReasoningContent text => $"reasoning {text.Text}",
        FunctionCallContent call => $"call {call.Name} {string.Join(',', call.Arguments!)}",
        _ => content.GetType().Name,
    }));
}
