using System.Text;
using Sluice.Core;

namespace Sluice.Constraints.Tests;

/// <summary>Texts put together of literals, schemas and free text, as calls of tools are.</summary>
public sealed class StructureTests
{
    private static readonly ConstraintSpec Calls = new SequenceSpec(
        new FreeTextSpec("</think>"),
        new RegexSpec("\\n{0,2}"),
        new RepeatSpec(new SequenceSpec(new LiteralSpec("<tool_call>\n{\"name\": "), new AlternativesSpec(
            Tool("get_weather", """{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}"""),
            Tool("now", """{"type":"object","properties":{}}""")), new LiteralSpec("}\n</tool_call>\n")), 1, 3));

    private static SequenceSpec Tool(string name, string parameters) =>
        new(new LiteralSpec($"\"{name}\", \"arguments\": "), new JsonSchemaSpec(parameters) { ClosedObjects = true });

    [Fact]
    public void A_call_after_thinking_is_accepted_with_its_tokens()
    {
        CompiledConstraint constraint = Vocabularies.Compiler.Compile(Calls);
        const string Call = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Zürich\", \"days\": 4}}\n</tool_call>\n";
        Assert.True(Walk.Accepts(constraint, Vocabularies.Tokenizer.Encode($"I <b>think</b>. So...</think>\n\n{Call}{Call}", parseSpecial: true)));
        Assert.False(Walk.Accepts(constraint, Vocabularies.Tokenizer.Encode($"</think>\n\n{Call}{Call}{Call}{Call}", parseSpecial: true)));
        Assert.False(Walk.Accepts(constraint, Vocabularies.Tokenizer.Encode("</think>\n\n", parseSpecial: true)));
        Assert.False(Walk.Accepts(constraint, Vocabularies.Tokenizer.Encode($"</think>{Call.Replace("city", "town", StringComparison.Ordinal)}", parseSpecial: true)));

        // What are tokens must not be spelled out.
        Assert.False(Walk.Accepts(constraint, Vocabularies.Tokenizer.Encode($"So...</think>{Call}", parseSpecial: false)));
    }

    [Fact]
    public void A_token_may_cross_from_a_schema_into_a_literal()
    {
        CompiledConstraint constraint = Vocabularies.ForLarge.Compile(
            new SequenceSpec(new LiteralSpec("{\"arguments\": "), new JsonSchemaSpec("""{"type":"object","properties":{"n":{"type":"integer"}}}"""), new LiteralSpec("}\n</tool_call>")));
        TokenVocabulary vocabulary = Vocabularies.Large;
        byte[] text = "{\"arguments\": {\"n\":4}}\n"u8.ToArray();
        for (int seed = 0; seed < 50; seed++)
            Assert.True(Walk.Accepts(constraint, [.. Walk.Cut(vocabulary, text, new Random(seed)), vocabulary.Added["</tool_call>"]]), $"seed {seed}");
    }

    [Fact]
    public void Walks_of_calls_have_their_form()
    {
        CompiledConstraint constraint = Vocabularies.Compiler.Compile(Calls);
        for (int seed = 0; seed < 30; seed++)
        {
            string text = Vocabularies.Text(Vocabularies.Demo, Walk.Random(constraint, new Random(seed)));
            string[] calls = text[(text.IndexOf("</think>", StringComparison.Ordinal) + 8)..].TrimStart('\n').Split("</tool_call>\n");
            Assert.InRange(calls.Length, 2, 4);
            Assert.Equal("", calls[^1]);
            foreach (string call in calls[..^1])
            {
                Assert.StartsWith("<tool_call>\n{\"name\": \"", call, StringComparison.Ordinal);
                using var json = System.Text.Json.JsonDocument.Parse(call["<tool_call>\n".Length..]);
                Assert.Contains(json.RootElement.GetProperty("name").GetString(), (string[])["get_weather", "now"]);
            }
        }
    }

    [Fact]
    public void Free_text_ends_at_the_first_occurrence()
    {
        CompiledConstraint constraint = Vocabularies.ForBytes.Compile(new SequenceSpec(new FreeTextSpec("abac"), new LiteralSpec("!")));
        Assert.True(Accepts("xababac!"));
        Assert.True(Accepts("abac!"));
        Assert.False(Accepts("abacabac!"));
        Assert.False(Accepts("aba!"));

        bool Accepts(string text) => Walk.Accepts(constraint, Walk.Cut(Vocabularies.Bytes, Encoding.UTF8.GetBytes(text), new Random(1)));
    }

    [Fact]
    public void Free_text_without_an_end_may_end_anywhere_and_holds_no_added_tokens()
    {
        ConstraintMatcher matcher = Vocabularies.Compiler.Compile(new FreeTextSpec()).CreateMatcher();
        Assert.True(matcher.IsComplete);
        foreach (int token in Vocabularies.Tokenizer.Encode("Any text, é."))
            Assert.True(matcher.Accept(token));
        Assert.True(matcher.IsComplete);
        Assert.False(matcher.MustEnd);
        Assert.False(matcher.Accept(Vocabularies.Demo.Added["<think>"]));
    }

    [Fact]
    public void Text_and_calls_may_alternate()
    {
        // What a server needs for a choice left to the model: free text, in which a call, once begun, must be finished.
        ConstraintSpec call = new SequenceSpec(new FreeTextSpec("<tool_call>"), new LiteralSpec("\n"), new JsonObjectSpec(), new LiteralSpec("\n</tool_call>"));
        CompiledConstraint constraint = Vocabularies.Compiler.Compile(new SequenceSpec(new RepeatSpec(call, 0, null), new FreeTextSpec()));
        Assert.True(Walk.Accepts(constraint, Encode("Just text.")));
        Assert.True(Walk.Accepts(constraint, Encode("Well:<tool_call>\n{\"a\": [1, {}]}\n</tool_call> and<tool_call>\n{}\n</tool_call>")));
        Assert.False(Walk.Accepts(constraint, Encode("Well:<tool_call>\n{\"a\": [1, {}]\n</tool_call>")));
        Assert.False(Walk.Accepts(constraint, Encode("Well:<tool_call>\n{}")));

        static int[] Encode(string text) => Vocabularies.Tokenizer.Encode(text, parseSpecial: true);
    }

    [Fact]
    public void A_token_that_ends_the_text_cannot_be_part_of_it()
    {
        RequestException error = Assert.Throws<RequestException>(() => Vocabularies.Compiler.Compile(new LiteralSpec("a<|im_end|>b") { Field = "tool_choice" }));
        Assert.Equal("tool_choice", error.Parameter);
    }
}
