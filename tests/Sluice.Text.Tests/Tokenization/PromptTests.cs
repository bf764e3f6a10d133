using System.Text;

namespace Sluice.Text.Tests.Tokenization;

/// <summary>Who may write control tokens: the template, and nobody else.</summary>
public sealed class PromptTests
{
    private static readonly string[] AddedTokens =
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"];

    [Fact]
    public void Added_tokens_in_user_text_are_text()
    {
        Tokenizer tokenizer = TokenizerData.Demo;
        string everyToken = string.Concat(AddedTokens) + string.Join(' ', AddedTokens) + string.Join("x", AddedTokens);
        PromptSegment[] prompt = [Template("<|im_start|>user\n"), User(everyToken), Template("<|im_end|>\n")];

        int[] ids = tokenizer.Encode(prompt);
        Assert.Equal(2, ids.Count(tokenizer.IsAdded));
        Assert.Equal("<|im_start|>user\n" + everyToken + "<|im_end|>\n", tokenizer.Decode(ids));
        Assert.DoesNotContain(tokenizer.Encode(everyToken), tokenizer.IsAdded);
    }

    [Fact]
    public void Every_added_token_of_Qwen3_is_text_to_a_user()
    {
        Tokenizer tokenizer = TokenizerData.Qwen3;
        string[] added = [.. Enumerable.Range(0, tokenizer.VocabularySize).Where(tokenizer.IsAdded).Select(id => Encoding.UTF8.GetString(tokenizer.TokenBytes(id)))];
        Assert.Equal(26, added.Length);
        foreach (string token in added)
        {
            Assert.DoesNotContain(tokenizer.Encode(token), tokenizer.IsAdded);
            Assert.DoesNotContain(tokenizer.Encode([Template("a"), User($"{token} {token}"), Template("b")]), tokenizer.IsAdded);
            Assert.Single(tokenizer.Encode(token, parseSpecial: true), tokenizer.IsAdded);
            Assert.Single(tokenizer.Encode([User("a"), Template(token), User("b")]), tokenizer.IsAdded);
        }
    }

    [Fact]
    public void A_token_cut_by_a_border_of_trust_is_text_wherever_it_is_cut()
    {
        Tokenizer tokenizer = TokenizerData.Demo;
        foreach (string token in AddedTokens)
        {
            for (int cut = 1; cut < token.Length; cut++)
            {
                int[] plain = tokenizer.Encode(token);
                Assert.Equal(plain, tokenizer.Encode([Template(token[..cut]), User(token[cut..])]));
                Assert.Equal(plain, tokenizer.Encode([User(token[..cut]), Template(token[cut..])]));
                Assert.Equal(plain, tokenizer.Encode([Template(token[..cut]), User(token[cut..^0][..1]), Template(token[(cut + 1)..])]));
            }
        }
    }

    [Fact]
    public void A_token_the_template_wrote_in_two_strokes_is_a_token()
    {
        Tokenizer tokenizer = TokenizerData.Demo;
        foreach (string token in AddedTokens)
        {
            int[] one = tokenizer.Encode(token, parseSpecial: true);
            Assert.Single(one);
            for (int cut = 0; cut <= token.Length; cut++)
                Assert.Equal(one, tokenizer.Encode([Template(token[..cut]), User(""), Template(""), Template(token[cut..])]));
        }
    }

    [Fact]
    public void Text_between_tokens_is_one_run_whoever_wrote_it()
    {
        Tokenizer tokenizer = TokenizerData.Demo;
        for (int seed = 0; seed < 500; seed++)
        {
            var random = new Random(seed);
            string text = RandomText.Next(random, 30).Replace("<think>", "", StringComparison.Ordinal);
            List<PromptSegment> prompt = [Template("<|im_start|>")];
            for (int at = 0; at < text.Length;)
            {
                int end = Math.Min(text.Length, at + random.Next(1, 9));
                prompt.Add(new PromptSegment(text[at..end], FromTemplate: random.Next(2) == 0));
                at = end;
            }

            prompt.Add(Template("<|im_end|>"));
            Assert.Equal(tokenizer.Encode($"<|im_start|>{text}<|im_end|>", parseSpecial: true), tokenizer.Encode(prompt));
        }
    }

    // A token marked "normalized" is looked for in composed text, part by part.
    [Fact]
    public void Normalized_tokens_are_the_templates_alone()
    {
        Tokenizer tokenizer = TokenizerFiles.Create().With(TokenizerFiles.AddedToken(256, "<é>", normalized: true)).Parse();
        const string decomposed = "<e\u0301>";
        Assert.Equal([256], tokenizer.Encode(decomposed, parseSpecial: true));
        Assert.Equal([256], tokenizer.Encode([Template(decomposed)]));
        Assert.DoesNotContain(256, tokenizer.Encode([User(decomposed)]));
        Assert.DoesNotContain(256, tokenizer.Encode([Template("<e"), User("\u0301>")]));
        Assert.DoesNotContain(256, tokenizer.Encode([Template("<e"), User("\u0301"), Template(">")]));
        Assert.Equal([97, 256, 98], tokenizer.Encode([User("a"), Template(decomposed), User("b")]));

        // What a user appends cannot undo a token the template wrote in full: > with U+0338 would compose.
        Assert.Equal(256, tokenizer.Encode([Template(decomposed), User("\u0338")])[0]);
        Assert.Equal(tokenizer.Encode("e\u0301x"), tokenizer.Encode([Template("e"), User("\u0301x")]));
    }

    // "lstrip" and "rstrip" take white space from whoever wrote it, as on the text in one piece.
    [Fact]
    public void Stripping_reaches_across_borders()
    {
        var token = TokenizerFiles.AddedToken(256, "<t>");
        token["lstrip"] = true;
        token["rstrip"] = true;
        Tokenizer tokenizer = TokenizerFiles.Create().With(token).Parse();
        Assert.Equal([97, 256, 98], tokenizer.Encode([User("a \n"), Template(" <t>"), User(" \t"), Template(" b")]));
    }

    // Tokens of white space that strip white space, over a text of it: each place looked at once, not once for each token.
    [Fact]
    public void Stripping_takes_linear_time()
    {
        foreach (string flag in (ReadOnlySpan<string>)["lstrip", "rstrip"])
        {
            var token = TokenizerFiles.AddedToken(256, " ");
            token[flag] = true;
            Tokenizer tokenizer = TokenizerFiles.Create().With(token).Parse();
            int[] ids = tokenizer.Encode(new string(' ', 500_000) + "a", parseSpecial: true);
            Assert.Equal(97, ids[^1]);
        }
    }

    private static PromptSegment Template(string text) => new(text, FromTemplate: true);

    private static PromptSegment User(string text) => new(text, FromTemplate: false);
}
