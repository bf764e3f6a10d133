using Sluice.Text.Output;

namespace Sluice.Text.Tests.Output;

public sealed class JsonCallTests
{
    [Theory]
    [InlineData("<tool_call>\n{\"name\": \"get_time\", \"arguments\": {\"city\": \"Lisbon\"}}\n</tool_call>", "get_time {\"city\": \"Lisbon\"}", "")]
    [InlineData("Yes.\n<tool_call>\n{\"name\": \"buy\", \"arguments\": {\"item\": \"island\", \"count\": 18}}\n</tool_call>\n", "buy {\"item\": \"island\", \"count\": 18}", "Yes.")]
    [InlineData("<tool_call>{\"arguments\" : {\"a\":[1,{}]} , \"id\": 7, \"name\":\"buy\"}</tool_call>", "buy {\"a\":[1,{}]}", "")]
    [InlineData("<tool_call>{\"name\": \"get_time\"}</tool_call>", "get_time {}", "")]
    [InlineData("<tool_call>{\"name\": \"get_time\", \"arguments\": null}</tool_call>", "get_time {}", "")]
    [InlineData("<tool_call>{\"n\\u0061me\": \"b\\u0075y\", \"arguments\": {}}</tool_call>", "buy {}", "")]
    [InlineData("<tool_call>{\"name\": \"buy\", \"arguments\": {\"item\": \"</tool_call>\"}}</tool_call>", "buy {\"item\": \"</tool_call>\"}", "")]
    [InlineData("<tool_call>{\"name\": \"buy\", \"arguments\": {\"item\": \"a\nb\"}}</tool_call>", "buy {\"item\": \"a\\nb\"}", "")]
    [InlineData("<tool_call>\n{\"name\": \"buy\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"get_time\", \"arguments\": {}}\n</tool_call>", "buy {}, get_time {}", "")]
    [InlineData("a\n<tool_call>{\"name\": \"buy\"}</tool_call>\n<tool_call>{\"name\": \"buy\"}</tool_call>\nb", "buy {}, buy {}", "a\n\n\nb")]
    [InlineData("<tool_call>{\"name\": \"buy\"}</tool_call>\n\nb\n", "buy {}", "b\n")]
    [InlineData("<tool_call>{\"name\": \"buy\"}", "buy {}", "")] // the end of the output says the same as the end tag
    [InlineData("<tool_call>{\"name\": \"buy\"}\n</tool_", "buy {}", "")]
    [InlineData("<tool_call>{\"name\": \"buy\"}}\n</tool_call>", "buy {}", "}\n</tool_call>")]
    [InlineData("<think>\nhm\n</think>\n\n<tool_call>\n{\"name\": \"buy\"}\n</tool_call>", "buy {}", "")]
    [InlineData("<tool_call>\n<tool_call>{\"name\": \"buy\"}</tool_call>", "buy {}", "<tool_call>")]
    public void Calls_are_found(string text, string calls, string content)
    {
        foreach (bool stream in (ReadOnlySpan<bool>)[true, false])
        {
            ParsedOutput output = OutputRun.Parse(text, OutputRun.Json, stream);
            Assert.Equal(calls, string.Join(", ", output.ToolCalls.Select(call => $"{call.Name} {call.Arguments}")));
            Assert.All(output.ToolCalls, call => Assert.True(call.IsComplete));
            Assert.Equal(content, output.Content);
        }
    }

    [Theory]
    [InlineData("<tool_call> is a tag")]
    [InlineData("<tool_call>\n{\"name\": \"unknown\", \"arguments\": {}}\n</tool_call>\n")]
    [InlineData("<tool_call>\n{\"name\": \"get_time\", \"arguments\": \"{}\"}\n</tool_call>")]
    [InlineData("<tool_call>\n{\"name\": \"get_time\", \"arguments\": [1]}\n</tool_call>")]
    [InlineData("<tool_call>\n{\"name\": \"get_time\", \"arguments\": nothing}\n</tool_call>")]
    [InlineData("<tool_call>\n{\"name\": 5, \"arguments\": {}}\n</tool_call>")]
    [InlineData("<tool_call>\n{\"arguments\": {}}\n</tool_call>")]
    [InlineData("<tool_call>\n{}\n</tool_call>")]
    [InlineData("<tool_call>\n[]\n</tool_call>")]
    [InlineData("<tool_call>\n{\"name\": \"get_time\", \"name\": \"buy\"}\n</tool_call>")]
    [InlineData("<tool_call>\n{'name': 'get_time'}\n</tool_call>")]
    [InlineData("<tool_call>\n{\"name\": \"\\ud800\"}\n</tool_call>")]
    [InlineData("<tool_call>\n{\"name\": \"get_time\", \"argu")]
    [InlineData("text <tool_call>\n{\"arguments\": {\"a\": 1}, \"name\": \"get_ti")]
    [InlineData("<tool_call>\n")]
    [InlineData("</tool_call>\n")]
    public void What_is_no_call_is_text(string text)
    {
        foreach (bool stream in (ReadOnlySpan<bool>)[true, false])
        {
            ParsedOutput output = OutputRun.Parse(text, OutputRun.Json, stream);
            Assert.Equal(text, output.Content);
            Assert.Empty(output.ToolCalls);
        }
    }

    [Theory]
    [InlineData("{\"city\": \"Lis", "")]
    [InlineData("{\"city\": \"Lis\"", "")]
    [InlineData("{\"city\": Lisbon}}\n</tool_call>", "Lisbon}}\n</tool_call>")]
    [InlineData("{}\n</tool_call>", "\n</tool_call>")] // the outer object is not closed
    [InlineData("{}, \"id\"} x", ", \"id\"} x")]
    public void A_call_that_goes_wrong_after_it_began_ends_incomplete(string arguments, string content)
    {
        string text = "<tool_call>\n{\"name\": \"get_time\", \"arguments\": " + arguments;
        ParsedOutput streamed = OutputRun.Parse(text, OutputRun.Json);
        ToolCall call = Assert.Single(streamed.ToolCalls);
        Assert.False(call.IsComplete);
        Assert.Equal(content, streamed.Content);
        Assert.Equal(arguments, call.Arguments + streamed.Content);

        ParsedOutput whole = OutputRun.Parse(text, OutputRun.Json, stream: false);
        Assert.Empty(whole.ToolCalls);
        Assert.Equal(text, whole.Content);
    }

    [Fact]
    public void The_name_comes_once_and_arguments_as_they_are_written()
    {
        var parser = new OutputParser(OutputRun.Json, OutputRun.Options());
        Assert.Equal([], Next("<tool_call>\n{\"name\": \"get"));
        Assert.Equal([], Next("_time\", \"arguments\": "));
        Assert.Equal([OutputPart.CallStart(0, "call0", "get_time"), OutputPart.CallArguments(0, "{")], Next("{"));
        Assert.Equal([OutputPart.CallArguments(0, "\"city\": \"Lis")], Next("\"city\": \"Lis"));
        Assert.Equal([OutputPart.CallArguments(0, "bon\"}"), OutputPart.CallEnd(0, isComplete: true)], Next("bon\"}}"));
        Assert.Equal([], Next("\n</tool_call>\n"));

        List<OutputPart> Next(string text)
        {
            List<OutputPart> parts = [];
            parser.Append(text, parts);
            return parts;
        }
    }

    [Fact]
    public void With_tools_unknown_any_name_will_do_and_with_none_there_are_no_calls()
    {
        const string Text = "<tool_call>{\"name\": \"whatever\"}</tool_call>";
        Assert.Equal("whatever", Assert.Single(OutputParser.Parse(Text, OutputRun.Json, new OutputParserOptions { Tools = null }).ToolCalls).Name);
        Assert.Equal(Text, OutputParser.Parse(Text, OutputRun.Json, new OutputParserOptions()).Content);
    }

    [Fact]
    public void Depth_is_bounded()
    {
        string deep = "<tool_call>{\"name\": \"buy\", \"x\": " + new string('[', 100_000);
        Assert.Equal(deep, OutputRun.Parse(deep, OutputRun.Json).Content);
        Assert.False(Assert.Single(OutputRun.Parse("<tool_call>{\"name\": \"buy\", \"arguments\": {\"x\":" + new string('[', 100_000), OutputRun.Json).ToolCalls).IsComplete);
    }

    [Fact]
    public void Ids_look_like_the_fields()
    {
        ToolCall[] calls = [.. OutputParser.Parse("<tool_call>{\"name\": \"a\"}</tool_call><tool_call>{\"name\": \"a\"}</tool_call>", OutputRun.Json, new OutputParserOptions { Tools = null }).ToolCalls];
        Assert.All(calls, call => Assert.Matches("^call_[A-Za-z0-9]{24}$", call.Id));
        Assert.NotEqual(calls[0].Id, calls[1].Id);
    }
}
