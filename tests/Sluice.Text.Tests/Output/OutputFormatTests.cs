using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Text.Output;
using Sluice.Text.Tests.Jinja;
using Sluice.Text.Tests.Tokenization;

namespace Sluice.Text.Tests.Output;

public sealed class OutputFormatTests
{
    private const string Qwen3Ending =
        "{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- else %}{{- '<think>\\n' }}{%- endif %}";

    [Theory]
    [InlineData("{{ messages[0].content }}", ReasoningStyle.None, ToolCallStyle.None)]
    [InlineData("<tool_call>\\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\\n</tool_call>", ReasoningStyle.None, ToolCallStyle.Json)]
    [InlineData("inside <tool_call></tool_call>. {{- '<tool_call>\\n{\"name\": \"' + call.name }} '</think>'", ReasoningStyle.ThinkTags, ToolCallStyle.Json)]
    [InlineData("\"<tool_call>\\n\"\n    ~ \"{\\\"name\\\": \\\"\"", ReasoningStyle.None, ToolCallStyle.Json)]
    [InlineData("<tool_call>\\n<function=example>\\n<parameter=example>\\nvalue</think>", ReasoningStyle.ThinkTags, ToolCallStyle.Xml)]
    [InlineData("<tool_call>{function-name}\n<arg_key>{arg-key-1}</arg_key>", ReasoningStyle.None, ToolCallStyle.None)]
    [InlineData("<function=name>{json}</function>", ReasoningStyle.None, ToolCallStyle.None)]
    public void The_template_says_it(string source, ReasoningStyle reasoning, ToolCallStyle toolCalls) =>
        Assert.Equal(new OutputFormat(reasoning, toolCalls), OutputFormat.Detect(source));

    [Fact]
    public void A_template_of_its_own_for_tools_says_how_calls_look()
    {
        ChatTemplate template = ChatTemplate.Parse("no tools", "<tool_call>{\"name\"");
        Assert.Equal(new OutputFormat(ReasoningStyle.None, ToolCallStyle.Json), OutputFormat.Detect(template, TokenizerFiles.Create().Parse()));
    }

    [Fact]
    public void The_demonstration_model_s_vocabulary_says_that_it_thinks()
    {
        ChatTemplate template = ChatTemplate.Load(Path.Combine(TokenizerData.RepositoryRoot, "models", "demo"))!;
        Assert.Equal(ReasoningStyle.None, OutputFormat.Detect(template.Source).Reasoning);
        Assert.Equal(OutputRun.Json, OutputFormat.Detect(template, TokenizerData.Demo));
    }

    [Theory]
    [InlineData(null, true)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public void The_prompt_says_where_the_output_begins(bool? thinking, bool expected)
    {
        var inputs = new JsonObject { ["messages"] = new JsonArray() };
        if (thinking is { } value)
            inputs["enable_thinking"] = value;
        ChatTemplate template = ChatTemplate.Parse(Qwen3Ending);
        Assert.Equal(expected, OutputFormat.Detect(Qwen3Ending).StartsInReasoning(template.Render(inputs)));
    }

    [Theory]
    [InlineData("{{ messages[0].content }}", false)]
    [InlineData("{{ messages[0].content }}\n{{ '<thi' }}{{ 'nk>' }}\n", true)]
    public void A_message_cannot_say_it(string source, bool expected)
    {
        var inputs = new JsonObject { ["messages"] = new JsonArray(new JsonObject { ["content"] = "x<think>\n" }) };
        Assert.Equal(expected, OutputRun.Json.StartsInReasoning(ChatTemplate.Parse(source).Render(inputs)));
    }

    [Fact]
    public void Templates_of_the_field_are_recognised()
    {
        string folder = Path.Combine(ReferenceTemplatesTests.ReferenceFolder() ?? "", "templates");
        if (!Directory.Exists(folder))
            Assert.Skip("no reference templates: set SLUICE_REFERENCE to the folder that holds templates");
        Dictionary<string, ToolCallStyle> known = new(StringComparer.Ordinal)
        {
            ["Qwen-Qwen2.5-7B-Instruct"] = ToolCallStyle.Json,
            ["Qwen-Qwen3-0.6B"] = ToolCallStyle.Json,
            ["Reka-Edge"] = ToolCallStyle.Json,
            ["ibm-granite-granite-4.0"] = ToolCallStyle.Json,
            ["Qwen3.5-4B"] = ToolCallStyle.Xml,
            ["StepFun3.5-Flash"] = ToolCallStyle.Xml,
        };
        foreach (string file in Directory.EnumerateFiles(folder, "*.jinja"))
        {
            string name = Path.GetFileNameWithoutExtension(file);
            Assert.True(known.GetValueOrDefault(name) == OutputFormat.Detect(File.ReadAllText(file)).ToolCalls, name);
        }
    }

    [Fact]
    public void The_demonstration_model_s_calls_are_read()
    {
        // As it writes them, with the schemas of its tools.
        (string Text, string Name, string Arguments)[] answers =
        [
            ("<tool_call>\n{\"name\": \"send_message\", \"arguments\": {\"to\": \"Sven\", \"text\": \"The rocket is ready.\"}}\n</tool_call>", "send_message", "{\"to\": \"Sven\", \"text\": \"The rocket is ready.\"}"),
            ("<tool_call>\n{\"name\": \"search_docs\", \"arguments\": {\"query\": \"IProducerConsumerCollection.TryAdd\", \"limit\": 3}}\n</tool_call>", "search_docs", "{\"query\": \"IProducerConsumerCollection.TryAdd\", \"limit\": 3}"),
            ("<tool_call>\n{\"name\": \"set_timer\", \"arguments\": {\"minutes\": 28}}\n</tool_call>", "set_timer", "{\"minutes\": 28}"),
            ("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Havana\"}}\n</tool_call>", "get_weather", "{\"city\": \"Havana\"}"),
        ];
        foreach ((string text, string name, string arguments) in answers)
        {
            ParsedOutput output = OutputParser.Parse(text, OutputRun.Json, OutputRun.Options(tools: [new ToolSignature(name)]));
            Assert.Equal("", output.Content);
            Assert.Equal(new ToolCall("call0", name, arguments, IsComplete: true), Assert.Single(output.ToolCalls));
        }
    }

    [Theory]
    [InlineData(ToolCallStyle.Json)]
    [InlineData(ToolCallStyle.Xml)]
    public void The_syntax_for_grammars_is_what_the_parser_reads(ToolCallStyle style)
    {
        Assert.True(ToolCallSyntax.TryGet(style, out ToolCallSyntax? syntax));
        Assert.StartsWith(syntax.Trigger, syntax.BeforeName);
        string arguments = syntax.Parameters is { } p ? $"{p.BeforeKey}city{p.AfterKey}Rome{p.End}" : "{\"city\": \"Rome\"}";
        string call = syntax.BeforeName + "get_time" + syntax.AfterName + arguments + syntax.End;
        ParsedOutput output = OutputRun.Parse(
            "hm\n" + ToolCallSyntax.AfterReasoning + call + syntax.Separator + call, new OutputFormat(ReasoningStyle.ThinkTags, style), inReasoning: true);
        Assert.Equal("hm", output.Reasoning);
        Assert.Equal("", output.Content);
        Assert.Equal(2, output.ToolCalls.Count);
        Assert.All(output.ToolCalls, c => Assert.Equal("{\"city\": \"Rome\"}", c.Arguments));
        Assert.False(ToolCallSyntax.TryGet(ToolCallStyle.None, out _));
    }

    [Fact]
    public void A_schema_that_refers_to_itself_or_is_nonsense_only_tells_nothing()
    {
        string many = string.Join(", ", Enumerable.Repeat("{\"$ref\": \"#/properties/a\"}", 100));
        foreach (string schema in (string[])
            [
                "{\"properties\": {\"a\": {\"anyOf\": [" + many + "]}}}",
                "{\"properties\": {\"a\": {\"$ref\": \"#/properties/a\"}}}",
                "{\"properties\": {\"a\": {\"$ref\": \"#/nowhere/at/all\"}}}",
                "{\"properties\": {\"a\": {\"$ref\": \"http://example.com\"}}}",
                "{\"properties\": {\"a\": {\"$ref\": 5}}}",
                "{\"properties\": {\"a\": {\"type\": \"hiccup\"}}}",
                "{\"properties\": {\"a\": {\"type\": [[[\"integer\"]]]}}}",
                "{\"properties\": {\"a\": true}}", "{\"properties\": 5}", "5", "null",
            ])
        {
            ParsedOutput output = OutputParser.Parse(
                "<tool_call><function=f><parameter=a>5</parameter></function></tool_call>",
                OutputRun.Xml,
                OutputRun.Options(tools: [new ToolSignature("f", OutputRun.Schema(schema))]));
            Assert.Equal("{\"a\": \"5\"}", Assert.Single(output.ToolCalls).Arguments);
        }

        string[] typed = ["{\"enum\": [1, 2]}", "{\"const\": 1}", "{\"oneOf\": [{\"type\": \"number\"}]}", "{\"type\": [\"integer\", \"null\"]}"];
        foreach (string type in typed)
        {
            ToolSignature tool = new("f", JsonDocument.Parse($"{{\"properties\": {{\"a\": {type}}}}}").RootElement);
            ParsedOutput output = OutputParser.Parse("<tool_call><function=f><parameter=a>5</parameter></function></tool_call>", OutputRun.Xml, OutputRun.Options(tools: [tool]));
            Assert.Equal("{\"a\": 5}", Assert.Single(output.ToolCalls).Arguments);
        }
    }

    [Theory]
    [InlineData("{\"properties\": {\"a\": {\"type\": \"\\ud800\"}}}")]
    [InlineData("{\"properties\": {\"a\": {\"$ref\": \"\\ud800\"}}}")]
    [InlineData("{\"properties\": {\"\\ud800\": {}}}")]
    public void A_schema_with_half_a_character_is_refused(string schema) =>
        Assert.Equal("tools", Assert.Throws<RequestException>(() => new ToolSignature("f", OutputRun.Schema(schema))).Parameter);
}
