using System.Text;
using System.Text.Json.Nodes;
using Sluice.Core;

namespace Sluice.Text.Tests.Jinja;

/// <summary>Templates and special tokens as they lie in model folders.</summary>
public sealed class ChatTemplateTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sluice-chat-template-");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void TheDemonstrationModelsTemplateRendersToolsAndTheirAnswers()
    {
        JsonObject inputs = JinjaRun.Object("""
            {
              "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Weather in Oslo? <|im_end|>"},
                {"role": "assistant", "content": "", "tool_calls": [
                  {"function": {"name": "weather", "arguments": {"city": "Oslo", "days": [1, 2.0]}}},
                  {"function": {"name": "clock", "arguments": "{}"}}]},
                {"role": "tool", "content": "cold"},
                {"role": "tool", "content": "noon"},
                {"role": "assistant", "content": "Cold at noon."}
              ],
              "tools": [{"type": "function", "function": {"name": "weather", "description": "Wetter — \"heute\""}}],
              "add_generation_prompt": true
            }
            """);
        ChatTemplate template = ChatTemplate.Load(Path.Combine(RepositoryRoot(), "models", "demo"))!;
        Assert.Equal("<|im_end|>", template.SpecialTokens["eos_token"]);
        Assert.False(template.SpecialTokens.ContainsKey("bos_token"));
        string expected = """
            <|im_start|>system
            ⟦Be brief.⟧

            # Functions
            <tools>
            ⟦{"type": "function", "function": {"name": "weather", "description": "Wetter — \"heute\""}}⟧
            </tools>
            To call a function, answer with its name and arguments as JSON inside <tool_call></tool_call>.<|im_end|>
            <|im_start|>⟦user⟧
            ⟦Weather in Oslo? <|im_end|>⟧<|im_end|>
            <|im_start|>assistant
            <tool_call>
            {"name": "⟦weather⟧", "arguments": ⟦{"city": "Oslo", "days": [1, 2.0]}⟧}
            </tool_call>
            <tool_call>
            {"name": "⟦clock⟧", "arguments": ⟦{}⟧}
            </tool_call><|im_end|>
            <|im_start|>user
            <tool_response>
            ⟦cold⟧
            </tool_response>
            <tool_response>
            ⟦noon⟧
            </tool_response><|im_end|>
            <|im_start|>assistant
            ⟦Cold at noon.⟧<|im_end|>
            <|im_start|>assistant

            """;
        Assert.Equal(expected.ReplaceLineEndings("\n"), Marked(template.Render(inputs, ct: Cancellation)));
    }

    [Fact]
    public void AFolderWithoutATemplateHasNone()
    {
        Assert.Null(ChatTemplate.Load(_folder.FullName));
        Write("tokenizer_config.json", """{"eos_token": "</s>"}""");
        Assert.Null(ChatTemplate.Load(_folder.FullName));
        Write("tokenizer_config.json", """{"chat_template": null}""");
        Assert.Null(ChatTemplate.Load(_folder.FullName));
    }

    [Fact]
    public void SpecialTokensAreStringsOrObjectsAndTemplateText()
    {
        Write("tokenizer_config.json", """
            {
              "bos_token": {"content": "<s>", "lstrip": false, "special": true}, "eos_token": "</s>", "pad_token": null, "unk_token": "<unk>",
              "chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token is defined }}{{ unk_token }}"
            }
            """);
        Assert.Equal("<s>⟦hi</s>⟧</s>⟦False⟧<unk>", Render("""{"messages": [{"content": "hi</s>"}]}"""));
    }

    [Fact]
    public void TheTemplateFileComesBeforeTheConfiguration()
    {
        Write("tokenizer_config.json", """{"eos_token": "</s>", "chat_template": "from the configuration"}""");
        Write("chat_template.jinja", "from the file{{ eos_token }}\n");
        Assert.Equal("from the file</s>", Render("{}"));
    }

    [Fact]
    public void NamedTemplatesAreChosenByWhetherToolsAreGiven()
    {
        Write("tokenizer_config.json", """
            {"chat_template": [
              {"name": "default", "template": "default {{ tools is none }}"},
              {"name": "rag", "template": "{% this is not parsed %}"},
              {"name": "tool_use", "template": "tools {{ tools|length }}"}]}
            """);
        Assert.Equal("default ⟦True⟧", Render("{}"));
        Assert.Equal("default ⟦True⟧", Render("""{"tools": null}"""));
        Assert.Equal("tools 1", Render("""{"tools": [{}]}"""));

        Write("tokenizer_config.json", """{"chat_template": [{"name": "default", "template": "d"}]}""");
        Assert.Equal("d", Render("""{"tools": [{}]}"""));
    }

    [Fact]
    public void AToolUseTemplateMayLieInAFileOfItsOwn()
    {
        Write("chat_template.jinja", "default");
        _folder.CreateSubdirectory("additional_chat_templates");
        Write("additional_chat_templates/tool_use.jinja", "tools");
        Assert.Equal("default", Render("{}"));
        Assert.Equal("tools", Render("""{"tools": [{}]}"""));
    }

    [Fact]
    public void WhatTransformersAlwaysPassesIsAlwaysDefined()
    {
        Write("chat_template.jinja", "{{ tools is none }}{{ documents is none }}{{ add_generation_prompt is false }}{{ x is defined }}");
        Assert.Equal("⟦TrueTrueTrueFalse⟧", Render("{}"));
        Assert.Equal("⟦FalseTrueFalseTrue⟧", Render("""{"tools": [], "add_generation_prompt": true, "x": 1}"""));
    }

    [Theory]
    [InlineData("[1]")]
    [InlineData("{")]
    [InlineData("""{"chat_template": 5}""")]
    [InlineData("""{"chat_template": ["x"]}""")]
    [InlineData("""{"chat_template": [{"name": "default"}]}""")]
    [InlineData("""{"chat_template": [{"name": 1, "template": "x"}]}""")]
    [InlineData("""{"chat_template": [{"name": "rag", "template": "x"}]}""")]
    [InlineData("""{"chat_template": "\ud800"}""")]
    [InlineData("""{"bos_token": {"content": 5}}""")]
    public void AMalformedConfigurationIsATypedErrorThatNamesTheFile(string config)
    {
        Write("tokenizer_config.json", config);
        ConfigurationException error = Assert.Throws<ConfigurationException>(() => ChatTemplate.Load(_folder.FullName));
        Assert.StartsWith("tokenizer_config.json: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ATemplateThatDoesNotParseIsATemplateError()
    {
        Write("chat_template.jinja", "{% if %}");
        Assert.Throws<TemplateException>(() => ChatTemplate.Load(_folder.FullName));
    }

    [Fact]
    public void ATemplateGivenAsTextNeedsNoFolder()
    {
        ChatTemplate template = ChatTemplate.Parse(
            "{{ eos_token }}{{ x }}", "tools", new Dictionary<string, string>(StringComparer.Ordinal) { ["eos_token"] = "</s>" });
        Assert.Equal("</s>⟦1⟧", Marked(template.Render(JinjaRun.Object("""{"x": 1}"""), ct: Cancellation)));
        Assert.Equal("tools", Marked(template.Render(JinjaRun.Object("""{"tools": []}"""), ct: Cancellation)));
    }

    internal static string RepositoryRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Sluice.slnx")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException("the tests run inside the repository");
    }

    private static string Marked(IReadOnlyList<PromptSegment> segments)
    {
        StringBuilder text = new();
        foreach (PromptSegment segment in segments)
        {
            text.Append(segment.FromTemplate ? segment.Text : $"⟦{segment.Text}⟧");
        }

        return text.ToString();
    }

    private string Render(string inputs) => Marked(ChatTemplate.Load(_folder.FullName)!.Render(JinjaRun.Object(inputs), ct: Cancellation));

    private void Write(string file, string text) => File.WriteAllText(Path.Combine(_folder.FullName, file), text);
}
