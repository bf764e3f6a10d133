using System.Text;
using Sluice.Core;

namespace Sluice.Constraints.Tests;

public sealed class MatcherTests
{
    /// <summary>At places all along random texts, the mask says of every token what trying it says.</summary>
    [Fact]
    public void Masks_agree_with_acceptance_for_every_token()
    {
        var random = new Random(5);
        foreach ((_, string schema) in SchemaExamples.All)
        {
            CompiledConstraint constraint = Vocabularies.Compiler.Compile(new JsonSchemaSpec(schema));
            List<int> tokens = Walk.Random(constraint, random, patience: 15);
            ConstraintMatcher matcher = constraint.CreateMatcher();
            int every = 1 + (tokens.Count / 4);
            for (int i = 0; i < tokens.Count; i++)
            {
                if (i % every == 0)
                    Walk.CheckMask(matcher, Vocabularies.Demo);
                Assert.True(matcher.Accept(tokens[i]));
            }
        }
    }

    [Fact]
    public void The_end_is_allowed_exactly_when_the_text_could_end()
    {
        CompiledConstraint constraint = Vocabularies.Compiler.Compile(new RegexSpec("ab?"));
        ConstraintMatcher matcher = constraint.CreateMatcher();
        int end = Vocabularies.Demo.EndTokens[0];
        Assert.False(matcher.IsComplete);
        Assert.False(matcher.Accept(end));
        Assert.True(matcher.Accept(Token("a")));
        Assert.True(matcher.IsComplete);
        Assert.False(matcher.MustEnd);
        ConstraintMatcher fork = matcher.Fork();
        Assert.True(matcher.Accept(Token("b")));
        Assert.True(matcher.MustEnd);
        Assert.Equal(Vocabularies.Demo.EndTokens.ToArray(), Allowed(matcher));
        Assert.Equal([Token("b"), .. Vocabularies.Demo.EndTokens], Allowed(fork).Order());
        Assert.True(fork.Accept(end));
        Assert.True(fork.IsEnded);
        Assert.False(fork.Accept(Token("b")));
        Assert.Equal(Vocabularies.Demo.EndTokens.ToArray(), Allowed(fork));
        Assert.False(matcher.IsEnded);
    }

    [Fact]
    public void A_refused_token_changes_nothing()
    {
        ConstraintMatcher matcher = Vocabularies.Compiler.Compile(new JsonSchemaSpec("""{"enum":[12]}""")).CreateMatcher();
        foreach (int token in (int[])[-1, int.MaxValue, Vocabularies.Demo.Size, Token("x"), Vocabularies.Demo.Added["<think>"], Vocabularies.Demo.EndTokens[0]])
            Assert.False(matcher.Accept(token));
        Assert.True(matcher.Accept(Token("1")));
        Assert.True(matcher.Accept(Token("2")));
        Assert.True(matcher.MustEnd);
    }

    [Fact]
    public void Masks_may_be_longer_than_the_vocabulary_and_not_shorter()
    {
        ConstraintMatcher matcher = Vocabularies.Compiler.Compile(new JsonObjectSpec()).CreateMatcher();
        var mask = new ulong[Vocabularies.Demo.MaskWords + 3];
        mask.AsSpan().Fill(ulong.MaxValue);
        matcher.FillMask(mask);
        Assert.All(mask[^3..], word => Assert.Equal(0UL, word));
        Assert.Throws<ArgumentException>(() => matcher.FillMask(new ulong[Vocabularies.Demo.MaskWords - 1]));
    }

    [Fact]
    public void Documents_are_accepted_however_they_are_laid_out_and_cut()
    {
        CompiledConstraint constraint = Vocabularies.Compiler.Compile(new JsonSchemaSpec(
            """{"type":"object","properties":{"name":{"type":"string"},"list":{"type":"array","items":{"type":["number","null"]}},"o":{"type":"object"}},"required":["name"]}"""));
        string[] layouts =
        [
            """{"name":"Zoë \"q\" \\ \u00e9 \ud83d\ude00 😀","list":[1,-2.5,null,1e10],"o":{"x":{"y":[]}}}""",
            """{"name": "a", "list": [1, 2], "o": {}}""",
            "{\n  \"name\": \"a\",\n  \"list\": [\n    1,\n    2\n  ],\n  \"o\": {\n    \"k\": [\n      true\n    ]\n  }\n}",
            "{\n\t\"name\": \"\",\n\t\"list\": [ ]\n}",
            """{"name":"a","extra":{"deep":[{"er":null}]}}""",
        ];
        foreach (string text in layouts)
        {
            Assert.True(Walk.Accepts(constraint, Vocabularies.Tokenizer.Encode(text)), text);
            for (int seed = 0; seed < 20; seed++)
                Assert.True(Walk.Accepts(constraint, Walk.Cut(Vocabularies.Demo, Encoding.UTF8.GetBytes(text), new Random(seed))), text);
        }

        string[] wrong = ["{}", "{\"name\":1}", "{\"name\":\"a\n\"}", "{\"name\":\"\\x\"}", "{\"name\":\"\\ud83d\"}", "{\"list\":[],\"name\":\"a\"}", "{\"name\":\"a\",}", "{\"name\":\"a\"}}", "{\"name\":\"a\"   }", "{\"name\":\"a\",\"list\":[01]}"];
        foreach (string text in wrong)
            Assert.False(Walk.Accepts(constraint, Vocabularies.Tokenizer.Encode(text)), text);
    }

    [Fact]
    public void Output_is_never_broken_utf8()
    {
        // Tokens of single bytes only: any broken character would come of a walk.
        foreach (ConstraintSpec spec in (ConstraintSpec[])[new FreeTextSpec("é"), new RegexSpec("[^a]{20}"), new JsonSchemaSpec("""{"type":"string","minLength":20,"maxLength":20}""")])
        {
            CompiledConstraint constraint = Vocabularies.ForBytes.Compile(spec);
            for (int seed = 0; seed < 20; seed++)
                Vocabularies.Text(Vocabularies.Bytes, Walk.Random(constraint, new Random(seed)));
        }
    }

    [Fact]
    public void A_full_cache_starts_afresh_and_texts_go_on()
    {
        var compiler = new ConstraintCompiler(Vocabularies.Demo, new ConstraintLimits { CacheBytes = 200_000 });
        CompiledConstraint constraint = compiler.Compile(new JsonSchemaSpec("""{"type":"array","items":{"type":"string","maxLength":300,"pattern":"^[a-z]*$"}}"""));
        for (int seed = 0; seed < 10; seed++)
        {
            string text = Vocabularies.Text(Vocabularies.Demo, Walk.Random(constraint, new Random(seed), patience: 200));
            using var json = System.Text.Json.JsonDocument.Parse(text);
            Assert.True(constraint.CacheBytes < 2_000_000, $"{constraint.CacheBytes} bytes");
        }
    }

    [Fact]
    public void Repeated_texts_allocate_nothing()
    {
        CompiledConstraint constraint = Vocabularies.Compiler.Compile(new JsonSchemaSpec("""{"type":"array","items":{"type":"object","properties":{"a":{"type":"string"},"n":{"type":"number"}},"required":["a","n"]}}"""));
        int[] tokens = Vocabularies.Tokenizer.Encode("[" + string.Join(", ", Enumerable.Range(0, 50).Select(_ => "{\"a\": \"some text, é\", \"n\": 12.5}")) + "]");
        Assert.True(Walk.Accepts(constraint, tokens));
        var mask = new ulong[Vocabularies.Demo.MaskWords];
        ConstraintMatcher matcher = constraint.CreateMatcher();
        long before = GC.GetAllocatedBytesForCurrentThread();
        foreach (int token in tokens)
        {
            matcher.FillMask(mask);
            if (!matcher.Accept(token))
                break;
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.True(matcher.IsComplete);
    }

    [Fact]
    public async Task Many_threads_may_follow_one_constraint()
    {
        var compiler = new ConstraintCompiler(Vocabularies.Demo, new ConstraintLimits { CacheBytes = 300_000 });
        CompiledConstraint constraint = compiler.Compile(new JsonObjectSpec());
        await Task.WhenAll(Enumerable.Range(0, 8).Select(thread => Task.Run(() =>
        {
            for (int seed = 0; seed < 10; seed++)
                System.Text.Json.JsonDocument.Parse(Vocabularies.Text(Vocabularies.Demo, Walk.Random(constraint, new Random((thread * 100) + seed)))).Dispose();
        })));
    }

    [Fact]
    public void Compiled_constraints_are_kept_by_content()
    {
        var compiler = new ConstraintCompiler(Vocabularies.Bytes, new ConstraintLimits { CompiledConstraints = 2 });
        CompiledConstraint a = compiler.Compile(new RegexSpec("a"));
        Assert.Same(a, compiler.Compile(new RegexSpec("a") { Field = "other" }));
        Assert.NotSame(a, compiler.Compile(new LiteralSpec("a")));
        Assert.Same(a, compiler.Compile(new RegexSpec("a")));
        compiler.Compile(new RegexSpec("b"));
        Assert.Same(a, compiler.Compile(new RegexSpec("a"))); // used after the literal
        compiler.Compile(new RegexSpec("c"));
        compiler.Compile(new RegexSpec("d"));
        Assert.NotSame(a, compiler.Compile(new RegexSpec("a")));
    }

    [Fact]
    public void Bytes_without_a_token_do_not_lead_into_dead_ends()
    {
        // No token for the second byte of é alone: only the whole character could be written, and is not offered half.
        byte[][] tokens = [.. Enumerable.Range(0, 128).Select(value => new[] { (byte)value }), [0xC3], [0xC3, 0xA9], []];
        var vocabulary = new TokenVocabulary(tokens, new Dictionary<string, int>(), [tokens.Length - 1]);
        CompiledConstraint constraint = new ConstraintCompiler(vocabulary).Compile(new RegexSpec("[é-ïx]{1,3}"));
        Assert.Equal(['x'], Allowed(constraint.CreateMatcher()));
        Assert.Throws<RequestException>(() => new ConstraintCompiler(vocabulary).Compile(new RegexSpec("é")));
    }

    private static int[] Allowed(ConstraintMatcher matcher)
    {
        var mask = new ulong[10_000];
        matcher.FillMask(mask);
        return Walk.Ids(mask);
    }

    private static int Token(string text) => Vocabularies.Tokenizer.Encode(text)[0];
}
