using System.Diagnostics;
using System.Text;
using Sluice.Core;

namespace Sluice.Constraints.Tests;

/// <summary>What was sent to bring such compilers down: each is refused or served soon, and nothing else happens.</summary>
public sealed class LimitTests
{
    private static string Repeat(string text, int count) => new StringBuilder().Insert(0, text, count).ToString();

    public static TheoryData<string, ConstraintSpec> Refused => new()
    {
        { "foo**", new RegexSpec("foo**") },
        { "open groups", new RegexSpec(new string('(', 100_000)) },
        { "nested groups", new RegexSpec(Repeat("(", 60_000) + "a" + Repeat(")", 60_000)) },
        { "nested groups repeated", new RegexSpec(Repeat("(", 90) + "a" + Repeat("){9}", 90)) },
        { "a{1,99999}", new RegexSpec("(a{1,99999}){1,99999}") },
        { "repeats of repeats", new RegexSpec("((a{1,100}){1,100}){1,100}") },
        { "repeats of nothing", new RegexSpec("((){99999}){99999}") },
        { "many states", new RegexSpec("(a|b)*a(a|b){40}c") },
        { "a wide class many times", new RegexSpec("(\\p{L}|\\p{N}){2000,9000}") },
        { "long expression", new RegexSpec(new string('a', 1_000_000)) },
        { "pattern bomb", new JsonSchemaSpec("""{"type":"string","pattern":"(x+x+)+y{1,99999}"}""") },
        { "pattern with a great length", new JsonSchemaSpec("""{"type":"string","pattern":"^[a-z]+$","maxLength":1000000}""") },
        { "hiccup", new JsonSchemaSpec("""{"type":"hiccup"}""") },
        { "cyclic $ref", new JsonSchemaSpec("""{"$ref":"#"}""") },
        { "cyclic $refs", new JsonSchemaSpec("""{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}""") },
        { "cyclic anyOf", new JsonSchemaSpec("""{"anyOf":[{"$ref":"#"},{"type":"string"}]}""") },
        { "endless required", new JsonSchemaSpec("""{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}""") },
        { "deep schema", new JsonSchemaSpec(Repeat("{\"items\":", 20_000) + "true" + Repeat("}", 20_000)) },
        { "deep list", new JsonSchemaSpec(new string('[', 100_000)) },
        { "deep const", new JsonSchemaSpec($"{{\"const\":{Repeat("[", 150)}1{Repeat("]", 150)}}}") },
        { "cases of cases", new JsonSchemaSpec($"{{\"allOf\":[{string.Join(',', Enumerable.Range(0, 30).Select(i => $"{{\"anyOf\":[{{\"minimum\":{i}}},{{\"maximum\":{i}}}]}}"))}]}}") },
        { "long schema", new JsonSchemaSpec($"{{\"description\":\"{new string('x', 300_000)}\"}}") },
        { "many items that are nothing", new JsonSchemaSpec("""{"type":"array","items":false,"minItems":1}""") },
        { "never", new JsonSchemaSpec("false") },
        { "empty range", new JsonSchemaSpec("""{"type":"integer","minimum":5,"maximum":3}""") },
        { "no integer between", new JsonSchemaSpec("""{"type":"integer","exclusiveMinimum":1,"exclusiveMaximum":2}""") },
        { "not JSON", new JsonSchemaSpec("{") },
        { "half a pair in a name", new JsonSchemaSpec("""{"properties":{"\ud800":true}}""") },
        { "half a pair in a value", new JsonSchemaSpec("""{"enum":[{"\udc00":1}]}""") },
        { "half a pair in the text", new JsonSchemaSpec("{\"title\":\"\ud800\"}") },
        { "half a pair in a literal", new LiteralSpec("\ud800") },
        { "half a pair in a choice", new ChoiceSpec(["\udc00"]) },
        { "no choice", new ChoiceSpec([]) },
        { "choices too long", new ChoiceSpec([new string('x', 300_000)]) },
        { "grammar nests", new GrammarSpec("root ::= " + new string('(', 100_000)) },
        { "grammar doubles", new GrammarSpec("root ::= r0\n" + string.Concat(Enumerable.Range(0, 60).Select(i => $"r{i} ::= r{i + 1} r{i + 1}\n"))) },
        { "grammar long", new GrammarSpec("root ::= \"" + new string('a', 300_000) + "\"") },
        { "nested specifications", Nested(5_000) },
        { "backward repeat", new RepeatSpec(new LiteralSpec("a"), 3, 2) },
    };

    public static TheoryData<string, ConstraintSpec> Served => new()
    {
        { "(a+)+b", new RegexSpec("(a+)+b") },
        { "(a|a)*b", new RegexSpec("((a|a)*)*b") },
        { "long string", new JsonSchemaSpec("""{"type":"string","minLength":1000000,"maxLength":2000000}""") },
        { "many items", new JsonSchemaSpec("""{"type":"array","items":{"type":"array","items":{"type":"null"},"maxItems":1000000},"maxItems":1000000}""") },
        { "many properties", new JsonSchemaSpec($"{{\"type\":\"object\",\"properties\":{{{string.Join(',', Enumerable.Range(0, 500).Select(i => $"\"p{i}\":{{\"type\":\"integer\"}}"))}}}}}") },
        { "many values", new JsonSchemaSpec($"{{\"enum\":[{string.Join(',', Enumerable.Range(0, 2000).Select(i => $"\"value number {i}\""))}]}}") },
        { "doubling grammar", new GrammarSpec("root ::= r0\n" + string.Concat(Enumerable.Range(0, 20).Select(i => $"r{i} ::= r{i + 1} r{i + 1}\n")) + "r20 ::= \"a\" | \"b\" r20") },
    };

    [Theory]
    [MemberData(nameof(Refused), DisableDiscoveryEnumeration = true)]
    public void Bombs_are_refused_soon(string name, ConstraintSpec spec)
    {
        Stopwatch watch = Stopwatch.StartNew();
        RequestException error = Assert.Throws<RequestException>(() => Vocabularies.Compiler.Compile(spec with { Field = "response_format" }));
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"{name} took {watch.Elapsed}");
        Assert.True(error.Message.Length < 500, $"{name}: {error.Message.Length} characters of message");
        Assert.DoesNotContain('\n', error.Message);
    }

    [Theory]
    [MemberData(nameof(Served), DisableDiscoveryEnumeration = true)]
    public void Large_constraints_within_the_limits_are_served(string name, ConstraintSpec spec)
    {
        Stopwatch watch = Stopwatch.StartNew();
        CompiledConstraint constraint = Vocabularies.Compiler.Compile(spec);
        ConstraintMatcher matcher = constraint.CreateMatcher();
        var mask = new ulong[Vocabularies.Demo.MaskWords];
        for (int i = 0; i < 50; i++)
        {
            matcher.FillMask(mask);
            int[] allowed = Walk.Ids(mask);
            Assert.NotEmpty(allowed);
            if (Vocabularies.Demo.IsEnd(allowed[^1]) || !matcher.Accept(allowed[i % allowed.Length]))
                break;
        }

        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"{name} took {watch.Elapsed}");
    }

    [Fact]
    public void Time_and_cancellation_are_heeded()
    {
        var hasty = new ConstraintCompiler(Vocabularies.Bytes, new ConstraintLimits { CompileTime = TimeSpan.Zero });
        Assert.Throws<RequestException>(() => hasty.Compile(new RegexSpec("(a|b)*a(a|b){10}c")));
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => Vocabularies.ForBytes.Compile(new RegexSpec("(a|b)*a(a|b){11}c"), source.Token));
    }

    private static ConstraintSpec Nested(int depth)
    {
        ConstraintSpec spec = new LiteralSpec("a");
        for (int i = 0; i < depth; i++)
            spec = new SequenceSpec(spec);
        return spec;
    }
}
