using Sluice.Text.Output;

namespace Sluice.Text.Tests.Output;

public sealed class ReasoningTests
{
    [Theory]
    [InlineData("<think>\nfirst\n\nthen\n</think>\n\nThe answer.", false, "first\n\nthen", "The answer.")]
    [InlineData("\n<think>a</think>b", false, "a", "b")]
    [InlineData("first\n</think>\n\nThe answer.\n", true, "first", "The answer.\n")]
    [InlineData("<think>\nsaid again\n</think>\n\nyes", true, "said again", "yes")]
    [InlineData("\n\n</think>\n\nyes", true, "", "yes")]
    [InlineData("<think>\n\n</think>\n\n", false, "", "")]
    [InlineData("cut off\n", true, "cut off\n", "")]
    [InlineData("cut off </thi", true, "cut off </thi", "")]
    [InlineData("a < b </thin </think>c", true, "a < b </thin ", "c")]
    [InlineData("no tags at all\n\n", false, "", "no tags at all\n\n")]
    [InlineData("  \n <thin", false, "", "  \n <thin")]
    [InlineData("The tag <think> is</think> text here.", false, "", "The tag <think> is</think> text here.")]
    [InlineData("<think>a</think>b<think>c</think>", false, "a", "b<think>c</think>")]
    [InlineData("", false, "", "")]
    [InlineData("", true, "", "")]
    public void Reasoning_and_answer_part(string text, bool inReasoning, string reasoning, string content)
    {
        ParsedOutput output = OutputRun.Parse(text, OutputRun.Json, inReasoning: inReasoning);
        Assert.Equal(reasoning, output.Reasoning);
        Assert.Equal(content, output.Content);
        Assert.Empty(output.ToolCalls);
    }

    [Fact]
    public void Without_tags_or_tools_everything_comes_at_once()
    {
        var parser = new OutputParser(OutputFormat.Plain, new OutputParserOptions { Tools = null });
        List<OutputPart> parts = [];
        parser.Append("<think>a\n\n<tool_call>\n", parts);
        Assert.Equal("<think>a\n\n<tool_call>\n", Assert.Single(parts).Text);
    }

    [Fact]
    public void Text_is_held_back_no_longer_than_it_may_be_a_tag()
    {
        var parser = new OutputParser(OutputRun.Json, OutputRun.Options());
        Assert.Equal("", Next(" <"));
        Assert.Equal(" <b", Next("b"));
        Assert.Equal("", Next("<tool"));
        Assert.Equal("<tools> ", Next("s> "));
        Assert.Equal("", Next("\n"));
        Assert.Equal("\nx", Next("x"));

        string Next(string text)
        {
            List<OutputPart> parts = [];
            parser.Append(text, parts);
            return string.Concat(parts.Select(part => part.Text));
        }
    }

    [Theory]
    [InlineData("<think>\nab</think>\n\ncd", false, 18)]
    [InlineData("ab\n</think>cd", true, 11)]
    [InlineData("ab", true, 2)]
    [InlineData("ab", false, 0)]
    public void Characters_of_the_reasoning_are_counted(string text, bool inReasoning, long expected)
    {
        foreach (int place in Enumerable.Range(0, text.Length + 1))
        {
            var parser = new OutputParser(OutputRun.Json, OutputRun.Options(inReasoning: inReasoning));
            foreach (string piece in OutputRun.Cut(text, place))
                parser.Append(piece, []);
            parser.Finish([]);
            Assert.Equal(expected, parser.ReasoningCharacters);
        }
    }

    [Theory]
    [InlineData("Let me call.\n<tool_call>\n{\"name\": \"get_time\", \"arguments\": {}}\n</tool_call>\n", "Let me call.", "get_time {}")]
    [InlineData("Both.<tool_call>{\"name\": \"get_time\"}</tool_call>\n<tool_call>{\"name\": \"buy\"}", "Both.", "get_time {}, buy {}")]
    [InlineData("I could <tool_call>{\"name\": \"buy\"}</tool_call> but no.\n</think>\n\nNo.", "I could <tool_call>{\"name\": \"buy\"}</tool_call> but no.", "")]
    [InlineData("Then <tool_call>{\"name\": \"buy\"}</tool_call>\n</think>\n\n<tool_call>{\"name\": \"get_time\"}</tool_call>", "Then <tool_call>{\"name\": \"buy\"}</tool_call>", "get_time {}")]
    [InlineData("A <tool_call>{\"name\": \"buy\"}</tool_call><tool_call>{\"na", "A <tool_call>{\"name\": \"buy\"}</tool_call><tool_call>{\"na", "")]
    public void A_call_in_the_reasoning_counts_only_at_its_end(string text, string reasoning, string calls)
    {
        ParsedOutput output = OutputRun.Parse(text, OutputRun.Json, inReasoning: true);
        Assert.Equal(reasoning, output.Reasoning);
        Assert.Equal(calls, string.Join(", ", output.ToolCalls.Select(call => $"{call.Name} {call.Arguments}")));
    }

    [Fact]
    public void A_finished_parser_takes_no_more()
    {
        var parser = new OutputParser(OutputRun.Json, OutputRun.Options());
        parser.Finish([]);
        Assert.Throws<InvalidOperationException>(() => parser.Append("x", []));
        Assert.Throws<InvalidOperationException>(() => parser.Finish([]));
    }
}
