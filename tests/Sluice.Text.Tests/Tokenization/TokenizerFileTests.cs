using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Sluice.Core;

namespace Sluice.Text.Tests.Tokenization;

public sealed class TokenizerFileTests
{
    private const string NoIcu = "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT";

    // JSON put at a path (members by name, array items by number; a path to nothing is made), and words of the error it must cause.
    [Theory]
    [InlineData("version", "\"2.0\"", "version")]
    [InlineData("truncation", "{}", "truncation")]
    [InlineData("padding", "{}", "padding")]
    [InlineData("normalizer", "{\"type\":\"NFKC\"}", "NFKC")]
    [InlineData("normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"}]}", "Lowercase")]
    [InlineData("normalizer", "{\"type\":\"Sequence\"}", "normalizers")]
    [InlineData("normalizer", "[]", "normalizer")]
    [InlineData("pre_tokenizer", "null", "ByteLevel")]
    [InlineData("pre_tokenizer", "{\"type\":\"Metaspace\"}", "Metaspace")]
    [InlineData("pre_tokenizer", "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "add_prefix_space")]
    [InlineData("pre_tokenizer", "{\"type\":\"ByteLevel\"}", "add_prefix_space")]
    [InlineData("pre_tokenizer.pretokenizers.0.behavior", "\"Removed\"", "Removed")]
    [InlineData("pre_tokenizer.pretokenizers.0.pattern", "\"x\"", "pattern")]
    [InlineData("pre_tokenizer.pretokenizers.0.pattern.Regex", "\"(\"", "split pattern")]
    [InlineData("pre_tokenizer.pretokenizers.0", "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}", "behind ByteLevel")]
    [InlineData("pre_tokenizer.pretokenizers.1", "{\"type\":\"Digits\",\"individual_digits\":true}", "Digits")]
    [InlineData("post_processor", "{\"type\":\"BertProcessing\"}", "BertProcessing")]
    [InlineData("post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}]}", "TemplateProcessing")]
    [InlineData("decoder", "null", "decoder")]
    [InlineData("decoder", "{\"type\":\"WordPiece\"}", "WordPiece")]
    [InlineData("decoder", "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteLevel\"},{\"type\":\"ByteLevel\"}]}", "decoder")]
    [InlineData("model", "null", "model.vocab")]
    [InlineData("model.type", "\"Unigram\"", "Unigram")]
    [InlineData("model.type", "7", "model.type")]
    [InlineData("model.dropout", "0.1", "dropout")]
    [InlineData("model.continuing_subword_prefix", "\"##\"", "continuing_subword_prefix")]
    [InlineData("model.end_of_word_suffix", "\"</w>\"", "end_of_word_suffix")]
    [InlineData("model.ignore_merges", "1", "ignore_merges")]
    [InlineData("model.vocab", "[]", "model.vocab")]
    [InlineData("model.vocab", "{}", "byte 0x00")]
    [InlineData("model.vocab.a", "-1", "expected an id")]
    [InlineData("model.vocab.a", "1.5", "expected an id")]
    [InlineData("model.vocab.a", "99999999999", "expected an id")]
    [InlineData("model.vocab.a", "98", "id 98")]
    [InlineData("model.vocab.zz", "100000", "out of proportion")]
    [InlineData("model.vocab.zz", "4194304", "expected an id")]
    [InlineData("model.merges", "{}", "model.merges")]
    [InlineData("model.merges.0", "\"ab\"", "model.merges[0]")]
    [InlineData("model.merges.0", "\"a b c\"", "model.merges[0]")]
    [InlineData("model.merges.0", "\"a q\"", "\"aq\" is not in the vocabulary")]
    [InlineData("model.merges.0", "[\"a\",\"zz\"]", "\"zz\" is not in the vocabulary")]
    [InlineData("model.merges.0", "[\"a\"]", "model.merges[0]")]
    [InlineData("model.merges.0", "[\"a\",\"b\",\"c\"]", "model.merges[0]")]
    [InlineData("model.merges.0", "7", "model.merges[0]")]
    [InlineData("added_tokens", "{}", "added_tokens")]
    [InlineData("added_tokens.0", "{\"id\":300}", "content")]
    [InlineData("added_tokens.0", "{\"id\":\"300\",\"content\":\"x\"}", "expected an id")]
    [InlineData("added_tokens.0", "{\"id\":-300,\"content\":\"x\"}", "expected an id")]
    [InlineData("added_tokens.0", "{\"id\":300,\"content\":\"a\"}", "in the vocabulary")]
    [InlineData("added_tokens.0", "{\"id\":97,\"content\":\"<x>\"}", "belongs to another token")]
    [InlineData("added_tokens.0", "{\"id\":300,\"content\":\"x\",\"special\":\"yes\"}", "special")]
    [InlineData("added_tokens.1", "{\"id\":301,\"content\":\"<t>\"}", "twice")]
    public void What_is_wrong_or_not_implemented_is_named(string path, string json, string named)
    {
        JsonObject file = TokenizerFiles.Create("a b").With(TokenizerFiles.AddedToken(300, "<t>"));
        Assert.NotNull(file.Parse());
        Put(file, path.Split('.'), JsonNode.Parse(json));

        string message = Assert.Throws<TokenizerException>(file.Parse).Message;
        Assert.Contains(named, message);
        Assert.DoesNotContain('\n', message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("{")]
    [InlineData("{\"version\":\"1.0\",\"version\":\"1.0\"}")]
    [InlineData("{\"version\":\"\\ud800\"}")]
    [InlineData("{} {}")]
    public void What_is_no_tokenizer_is_refused(string json) =>
        Assert.Throws<TokenizerException>(() => Tokenizer.Parse(Encoding.UTF8.GetBytes(json)));

    [Fact]
    public void Broken_UTF8_and_depth_are_refused()
    {
        byte[] broken = "{\"version\":\"?\"}"u8.ToArray();
        broken[12] = 0xFF;
        Assert.Throws<TokenizerException>(() => Tokenizer.Parse(broken));
        string deep = string.Concat(Enumerable.Repeat("{\"model\":", 10_000));
        Assert.Throws<TokenizerException>(() => Tokenizer.Parse(Encoding.UTF8.GetBytes(deep)));
    }

    [Fact]
    public void A_section_of_absurd_size_is_refused_before_it_is_read()
    {
        JsonObject file = TokenizerFiles.Create();
        file["added_tokens"] = new string('x', 9 << 20);
        Assert.Contains("at most 8388608 bytes", Assert.Throws<TokenizerException>(file.Parse).Message);
    }

    // Each is harmless: the result is the same as without it.
    [Theory]
    [InlineData("version", "null")]
    [InlineData("post_processor", "null")]
    [InlineData("post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"special_tokens\":{}}")]
    [InlineData("decoder", "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteLevel\"}]}")]
    [InlineData("normalizer", "null")]
    [InlineData("normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}]}]}")]
    [InlineData("pre_tokenizer", "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}")]
    [InlineData("pre_tokenizer.pretokenizers.0.invert", "true")]
    [InlineData("pre_tokenizer.pretokenizers.0.pattern", "{\"String\":\" \"}")]
    [InlineData("model.type", "null")]
    [InlineData("model.dropout", "0.0")]
    [InlineData("model.unk_token", "\"a\"")]
    [InlineData("model.byte_fallback", "true")]
    [InlineData("model.continuing_subword_prefix", "\"\"")]
    [InlineData("model.merges.0", "[\"a\",\"b\"]")]
    [InlineData("model.vocab.zz", "1500")]
    [InlineData("unknown", "{}")]
    [InlineData("added_tokens.0", "{\"id\":300,\"content\":\"\"}")]
    public void What_changes_nothing_is_accepted(string path, string json)
    {
        JsonObject file = TokenizerFiles.Create("a b");
        int[] expected = file.Parse().Encode("ab abba");
        Put(file, path.Split('.'), JsonNode.Parse(json));
        Assert.Equal(expected, file.Parse().Encode("ab abba"));
    }

    [Fact]
    public void A_version_line_among_the_merges_is_passed_over()
    {
        JsonObject file = TokenizerFiles.Create("a b");
        file["model"]!["merges"]!.AsArray().Insert(0, "#version: 0.2");
        Assert.Equal([256], file.Parse().Encode("ab"));
    }

    [Fact]
    public void Tokens_are_found_by_name()
    {
        Tokenizer tokenizer = TokenizerFiles.Create("a b", "Ġ a").With(TokenizerFiles.AddedToken(300, "<t>"), TokenizerFiles.AddedToken(301, "<u>", special: false)).Parse();
        Assert.True(tokenizer.TryGetId("<t>", out int id) && id == 300);
        Assert.True(tokenizer.TryGetId("Ġa", out id) && id == 257);
        Assert.False(tokenizer.TryGetId("nowhere", out _));
        Assert.Equal(302, tokenizer.VocabularySize);
        Assert.True(tokenizer.IsSpecial(300) && tokenizer.IsAdded(300));
        Assert.True(!tokenizer.IsSpecial(301) && tokenizer.IsAdded(301));
        Assert.True(!tokenizer.IsSpecial(97) && !tokenizer.IsAdded(97) && !tokenizer.IsAdded(-1));
        Assert.Equal(" a"u8, tokenizer.TokenBytes(257));
        Assert.Equal("<t>"u8, tokenizer.TokenBytes(300));
        foreach (int unknown in (ReadOnlySpan<int>)[-1, 280, 302, int.MinValue, int.MaxValue])
            Assert.True(tokenizer.TokenBytes(unknown).IsEmpty);
        Assert.Equal("ab", tokenizer.Decode([256, 280, -5, int.MaxValue]));
    }

    [Fact]
    public void A_missing_file_is_a_tokenizer_error()
    {
        var e = Assert.Throws<TokenizerException>(() => Tokenizer.Load(Path.Combine(AppContext.BaseDirectory, "nowhere")));
        Assert.Contains("tokenizer.json", e.Message);
    }

    // Without ICU .NET leaves decomposed text as it is and says nothing. Only a process of its own can be without it.
    [Fact]
    public async Task Without_ICU_loading_fails_and_says_what_to_install()
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            ArgumentList = { "-method", $"*.{nameof(Child_without_ICU)}", "-explicit", "only" },
            Environment = { [NoIcu] = "1" },
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Insert(0, typeof(TokenizerFileTests).Assembly.Location);

        using Process child = Process.Start(start)!;
        string output = await child.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await child.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(child.ExitCode == 0 && output.Contains("Total: 1", StringComparison.Ordinal) && output.Contains("Skipped: 0, Not Run: 0", StringComparison.Ordinal), output);
    }

    [Fact(Explicit = true)]
    public void Child_without_ICU()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable(NoIcu) == "1", "runs in the process that another test starts");
        Assert.Contains("libicu", Assert.Throws<TokenizerException>(() => TokenizerFiles.Create().Parse()).Message);
        JsonObject plain = TokenizerFiles.Create();
        plain["normalizer"] = null;
        Assert.NotNull(plain.Parse());
    }

    private static void Put(JsonNode node, ReadOnlySpan<string> path, JsonNode? value)
    {
        for (; path.Length > 1; path = path[1..])
            node = node is JsonArray array ? array[int.Parse(path[0])]! : node[path[0]]!;

        if (node is not JsonArray list)
            node[path[0]] = value;
        else if (int.Parse(path[0]) < list.Count)
            list[int.Parse(path[0])] = value;
        else
            list.Add(value);
    }
}
