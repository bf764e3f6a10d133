using System.Text.Json;
using Sluice.Text.Output;

namespace Sluice.Text.Tests.Output;

public sealed class XmlCallTests
{
    [Theory]
    [InlineData("<tool_call>\n<function=get_time>\n<parameter=city>\nLisbon\n</parameter>\n</function>\n</tool_call>", "get_time {\"city\": \"Lisbon\"}", "")]
    [InlineData("Yes.\n\n<tool_call>\n<function=buy>\n<parameter=item>\nx\n</parameter>\n<parameter=count>\n18\n</parameter>\n</function>\n</tool_call>\n", "buy {\"item\": \"x\", \"count\": 18}", "Yes.")]
    [InlineData("<tool_call><function=get_time></function></tool_call>", "get_time {}", "")]
    [InlineData("<function=get_time>\n<parameter=city>Rome</parameter>\n</function>\n</tool_call>", "get_time {\"city\": \"Rome\"}", "")]
    [InlineData("<tool_call>\n<function=get_time>\n</function>\n</tool_call>\n<tool_call>\n<function=buy>\n</function>\n</tool_call>", "get_time {}, buy {}", "")]
    [InlineData("<tool_call>\n<function=get_time>\n</function>", "get_time {}", "")]
    [InlineData("<tool_call>\n<tool_call>\n<function=get_time>\n</function>\n</tool_call>", "get_time {}", "<tool_call>")]
    public void Calls_are_found(string text, string calls, string content)
    {
        foreach (bool stream in (ReadOnlySpan<bool>)[true, false])
        {
            ParsedOutput output = OutputRun.Parse(text, OutputRun.Xml, stream);
            Assert.Equal(calls, string.Join(", ", output.ToolCalls.Select(call => $"{call.Name} {call.Arguments}")));
            Assert.All(output.ToolCalls, call => Assert.True(call.IsComplete));
            Assert.Equal(content, output.Content);
        }
    }

    [Theory]
    [InlineData("item", "two\nlines \"quoted\" \\ \t\u0001", "\"two\\nlines \\\"quoted\\\" \\\\ \\t\\u0001\"")]
    [InlineData("item", "\n\n", "\"\\n\\n\"")]
    [InlineData("item", "5", "\"5\"")]
    [InlineData("item", "", "\"\"")]
    [InlineData("item", "a</parameter>\n</parameter>\nb<\n</par", "\"a</parameter>\\n</parameter>\\nb<\\n</par\"")]
    [InlineData("item", "</parameter>", "\"</parameter>\"")]
    [InlineData("item", "a\n<function=x>\n</function>\n</tool_call>", "\"a\\n<function=x>\\n</function>\\n</tool_call>\"")]
    [InlineData("item", "<b>&amp;</b>", "\"<b>&amp;</b>\"")]
    [InlineData("surprise", "7", "\"7\"")]
    [InlineData("rest", "7", "\"7\"")]
    [InlineData("count", " 18 ", "18")]
    [InlineData("count", "-3.00", "-3")]
    [InlineData("count", "3.5", "\"3.5\"")]
    [InlineData("count", "1e3", "\"1e3\"")]
    [InlineData("count", "many", "\"many\"")]
    [InlineData("count", "null", "null")]
    [InlineData("count", "", "\"\"")]
    [InlineData("price", "1e3", "1e3")]
    [InlineData("price", "01", "\"01\"")]
    [InlineData("price", "nan", "\"nan\"")]
    [InlineData("gift", "True", "true")]
    [InlineData("gift", "false", "false")]
    [InlineData("gift", "maybe", "\"maybe\"")]
    [InlineData("gift", "1", "\"1\"")]
    [InlineData("to", "{\"street\": [1, \"a\nb\"]}", "{\"street\": [1, \"a\\nb\"]}")]
    [InlineData("to", "None", "null")]
    [InlineData("to", "{'street': 1}", "\"{'street': 1}\"")]
    [InlineData("tags", "[1, 2]", "[1, 2]")]
    [InlineData("tags", "{}", "\"{}\"")]
    [InlineData("note", "null", "null")]
    [InlineData("note", "nullify", "\"nullify\"")]
    [InlineData("note", "", "\"\"")]
    [InlineData("nothing", "None", "null")]
    [InlineData("either", "12", "12")]
    [InlineData("either", "twelve", "\"twelve\"")]
    [InlineData("either", "null", "\"null\"")]
    public void Values_are_what_the_schema_wants(string key, string value, string json)
    {
        string text = $"<tool_call>\n<function=buy>\n<parameter={key}>\n{value}\n</parameter>\n</function>\n</tool_call>";
        ToolCall call = Assert.Single(OutputRun.Parse(text, OutputRun.Xml).ToolCalls);
        Assert.Equal($"{{\"{key}\": {json}}}", call.Arguments);
    }

    [Theory]
    [InlineData("<tool_call>\nno function\n</tool_call>")]
    [InlineData("<tool_call>\n<function=unknown>\n</function>\n</tool_call>")]
    [InlineData("<function=unknown>\n</function>")]
    [InlineData("<tool_call>\n<function=get_time>\nLisbon\n</function>\n</tool_call>")]
    [InlineData("<tool_call>\n<function=get_time")]
    [InlineData("<tool_call>\n<function=get_time>\n<para")]
    [InlineData("<tool_call>\n<function=get_time\n>")]
    [InlineData("<tool_call>\n{\"name\": \"get_time\", \"arguments\": {}}\n</tool_call>")]
    public void What_is_no_call_is_text(string text)
    {
        foreach (bool stream in (ReadOnlySpan<bool>)[true, false])
        {
            ParsedOutput output = OutputRun.Parse(text, OutputRun.Xml, stream);
            Assert.Equal(text, output.Content);
            Assert.Empty(output.ToolCalls);
        }
    }

    [Theory]
    [InlineData("<parameter=item>\na\n</parameter>\nb\n</function>", "{\"item\": \"a\\n</parameter>\\nb", "\n</function>")]
    [InlineData("<parameter=item>a</parameter><parameter=item>", "{\"item\": \"a\"", "item>")]
    [InlineData("<parameter=item>a</parameter><parameter=\n>", "{\"item\": \"a\"", "\n>")]
    [InlineData("<parameter=count>\n12", "{", "count>\n12")]
    public void A_call_that_goes_wrong_after_it_began_ends_incomplete(string parameters, string arguments, string content)
    {
        string text = "<tool_call>\n<function=buy>\n" + parameters;
        ParsedOutput streamed = OutputRun.Parse(text, OutputRun.Xml);
        ToolCall call = Assert.Single(streamed.ToolCalls);
        Assert.False(call.IsComplete);
        Assert.StartsWith(arguments, call.Arguments);
        if (!parameters.EndsWith("</function>", StringComparison.Ordinal))
            Assert.Equal(content, streamed.Content);
        Assert.Equal(text, OutputRun.Parse(text, OutputRun.Xml, stream: false).Content);
    }

    [Theory]
    [InlineData("a</parameter>\n</parameter>\nb<\n</par\n\n</parameter>\n \n<parameter")]
    [InlineData("x\n\n<</</parameter></</parameter>\n\n</p\n<")]
    public void Wherever_the_output_ends_nothing_of_a_value_is_lost(string value)
    {
        const string Before = "<tool_call>\n<function=get_time>\n<parameter=city>\n";
        for (int length = 1; length <= value.Length; length++)
        {
            ParsedOutput output = OutputRun.Parse(Before + value[..length], OutputRun.Xml);
            string arguments = Assert.Single(output.ToolCalls).Arguments;
            using var document = JsonDocument.Parse(arguments + "\"}");
            Assert.Equal(value[..length], document.RootElement.GetProperty("city").GetString() + output.Content);
        }
    }

    [Fact]
    public void Strings_flow_and_other_values_come_whole()
    {
        var parser = new OutputParser(OutputRun.Xml, OutputRun.Options());
        Assert.Equal("", Next("<tool_call>\n<function=buy>\n"));
        Assert.Equal("buy|{", Next("<parameter="));
        Assert.Equal("\"item\": \"", Next("item>\n"));
        Assert.Equal("one ", Next("one "));
        Assert.Equal("", Next("\n</parameter>\n<"));
        Assert.Equal("\"", Next("parameter=count>"));
        Assert.Equal("", Next("\n1"));
        Assert.Equal("", Next("8\n</parameter>\n"));
        Assert.Equal(", \"count\": 18}|", Next("</function>"));

        string Next(string text)
        {
            List<OutputPart> parts = [];
            parser.Append(text, parts);
            return string.Join('|', parts.Select(part => part.Text));
        }
    }
}
