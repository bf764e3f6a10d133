using System.Text.Json;
using Microsoft.Extensions.AI;

namespace Sluice.Extensions.AI.Tests;

public sealed class ToolTests(DemoModel demo)
{
    [Fact]
    public async Task A_tool_is_called_and_its_result_told()
    {
        List<string> asked = [];
        AIFunction getTime = DemoModel.GetTime(city =>
        {
            asked.Add(city);
            return new Dictionary<string, string> { ["time"] = "14:05" };
        });
        foreach (bool streaming in (bool[])[false, true])
        {
            using IChatClient client = demo.Client.AsBuilder().UseFunctionInvocation().Build();
            ChatOptions options = DemoModel.Greedy(getTime);
            ChatResponse response = streaming
                ? await client.GetStreamingResponseAsync(DemoModel.Time, options).ToChatResponseAsync()
                : await client.GetResponseAsync(DemoModel.Time, options);
            Assert.Equal("It is 14:05 in Lisbon.", response.Text);
            Assert.Equal([ChatRole.Assistant, ChatRole.Tool, ChatRole.Assistant], response.Messages.Select(message => message.Role));
        }

        Assert.Equal(["Lisbon", "Lisbon"], asked);
    }

    [Fact]
    public async Task A_call_has_its_arguments_by_name()
    {
        AIFunction buy = AIFunctionFactory.Create((string item, int count) => item + count, "buy", "Buy things at the shop.");
        ChatResponse response = await demo.Client.GetResponseAsync("Buy 18 of the item island.", DemoModel.Greedy(buy));
        FunctionCallContent call = Assert.Single(response.Messages[0].Contents.OfType<FunctionCallContent>());
        Assert.Equal("buy", call.Name);
        Assert.StartsWith("call_", call.CallId);
        Assert.Equal("island", Assert.IsType<JsonElement>(call.Arguments!["item"]).GetString());
        Assert.Equal(18, Assert.IsType<JsonElement>(call.Arguments["count"]).GetInt32());
        Assert.Equal(ChatFinishReason.ToolCalls, response.FinishReason);
        Assert.Equal("", response.Text);
    }

    [Fact]
    public async Task Without_tools_there_are_no_calls()
    {
        ChatOptions options = DemoModel.Greedy(DemoModel.GetTime(_ => ""));
        options.ToolMode = ChatToolMode.None;
        ChatResponse response = await demo.Client.GetResponseAsync(DemoModel.Time, options);
        Assert.Empty(response.Messages[0].Contents.OfType<FunctionCallContent>());
        Assert.Equal(ChatFinishReason.Stop, response.FinishReason);
    }

    [Fact]
    public async Task A_call_that_is_cut_off_is_text()
    {
        ChatOptions options = DemoModel.Greedy(DemoModel.GetTime(_ => ""));
        options.MaxOutputTokens = 8;
        ChatResponse response = await demo.Client.GetResponseAsync(DemoModel.Time, options);
        Assert.Empty(response.Messages[0].Contents.OfType<FunctionCallContent>());
        Assert.StartsWith("<tool_call>", response.Text);
        Assert.Equal(ChatFinishReason.Length, response.FinishReason);
    }

    [Fact]
    public void Calls_after_the_first_can_be_left_out()
    {
        const string Text = "<tool_call>\n{\"name\": \"get_time\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"get_time\"}\n</tool_call>";
        foreach (bool several in (ReadOnlySpan<bool>)[true, false])
        {
            ChatOptions options = DemoModel.Greedy(DemoModel.GetTime(_ => ""));
            options.AllowMultipleToolCalls = several;
            var request = ChatRequest.Read([new ChatMessage(ChatRole.User, "x")], options, demo.Model);
            var reader = new AnswerReader(demo.Model.OutputFormat, request, startsInReasoning: false);
            List<AIContent> contents = [.. reader.Append(Text), .. reader.Finish()];
            Assert.Equal(several ? 2 : 1, contents.OfType<FunctionCallContent>().Count());
            Assert.True(reader.HasCalls);
        }
    }
}
