using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Checkpoints;
using Sluice.Checkpoints.Gguf;
using Sluice.Checkpoints.Quantising;
using Sluice.Core;
using Sluice.Text.Tokenization;

namespace Sluice.Text.Tests.Tokenization;

/// <summary>A tokenizer and a chat template through a GGUF file's metadata are what they were in the folder.</summary>
public sealed class GgufTokenizerTests : IDisposable
{
    private static readonly string DemoFolder = Path.Combine(TokenizerData.RepositoryRoot, "models", "demo");

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sluice-text-tests-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void The_demonstration_models_file_encodes_every_vector()
    {
        Tokenizer tokenizer = Tokenizer.Load(DemoFile());
        using JsonDocument document = TokenizerData.Read("demo_ids.json.gz");
        foreach (JsonElement answer in document.RootElement.GetProperty("answers").EnumerateArray())
        {
            Assert.Equal(TokenizerData.Ids(answer.GetProperty("ids")), tokenizer.Encode(answer.GetProperty("text").GetString()!));
            Assert.Equal(answer.GetProperty("text").GetString(), tokenizer.Decode(TokenizerData.Ids(answer.GetProperty("ids"))));
        }

        foreach (JsonElement prompt in document.RootElement.GetProperty("prompts").EnumerateArray())
            Assert.Equal(TokenizerData.Ids(prompt), tokenizer.Encode(tokenizer.Decode(TokenizerData.Ids(prompt)), parseSpecial: true));
        Assert.Equal(TokenizerData.Demo.VocabularySize, tokenizer.VocabularySize);
        for (int id = 0; id < tokenizer.VocabularySize; id++)
        {
            Assert.Equal((TokenizerData.Demo.IsSpecial(id), TokenizerData.Demo.IsAdded(id)), (tokenizer.IsSpecial(id), tokenizer.IsAdded(id)));
            Assert.True(TokenizerData.Demo.TokenBytes(id).SequenceEqual(tokenizer.TokenBytes(id)));
        }
    }

    [Fact]
    public void Its_chat_template_renders_the_same()
    {
        ChatTemplate folder = ChatTemplate.Load(DemoFolder)!;
        ChatTemplate file = ChatTemplate.Load(DemoFile())!;
        Assert.Equal(folder.Source, file.Source);
        Assert.Equal(folder.SpecialTokens.OrderBy(pair => pair.Key, StringComparer.Ordinal), file.SpecialTokens.OrderBy(pair => pair.Key, StringComparer.Ordinal));
        JsonObject chat = new() { ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "é <|im_end|>" }), ["add_generation_prompt"] = true };
        Assert.Equal(folder.Render(chat), file.Render((JsonObject)chat.DeepClone()));
    }

    [Fact]
    public void Its_metadata_is_what_other_programs_expect()
    {
        var text = GgufText.Read(DemoFile());
        Assert.Equal(("gpt2", "qwen2", false), (text.Model, text.Pre, text.AddsBeginOfText));
        Assert.Equal(4224, text.Tokens.Count); // as many as the model has rows
        Assert.Equal(("<|im_end|>", GgufTokenType.Control), (text.Tokens[4098], text.Types[4098]));
        Assert.Equal(("<think>", GgufTokenType.UserDefined), (text.Tokens[4103], text.Types[4103]));
        Assert.Equal(("[PAD4223]", GgufTokenType.Unused), (text.Tokens[4223], text.Types[4223]));
        Assert.Equal(["Ċ Ċ", "Ġ t", "h e"], text.Merges.Take(3));
        Assert.Equal((4098, 4096), (text.SpecialTokens["eos_token"], text.SpecialTokens["pad_token"]));
        Assert.Equal([4098, 4096], Checkpoint.Open(DemoFile()).Config.EndOfText);
    }

    [Fact]
    public void Qwen3_survives_the_metadata_and_encodes_every_vector()
    {
        _ = TokenizerData.Qwen3; // skips where it cannot be had
        TokenizerDefinition definition = TokenizerJson.Read(File.ReadAllBytes(Path.Combine(TokenizerData.RepositoryRoot, ".cache", "qwen3", "tokenizer.json")));
        var tokenizer = Tokenizer.FromGguf(TokenizerGguf.Write(definition, 151_936));
        using JsonDocument document = TokenizerData.Read("qwen3_tokenizer_vectors.json.gz");
        foreach (JsonElement vector in document.RootElement.GetProperty("vectors").EnumerateArray())
        {
            int[] ids = TokenizerData.Ids(vector.GetProperty("ids"));
            Assert.Equal(ids, tokenizer.Encode(vector.GetProperty("text").GetString()!, parseSpecial: true));
            Assert.Equal(vector.GetProperty("decoded").GetString(), tokenizer.Decode(ids));
        }
    }

    /// <summary>And back again: a folder's files made of a GGUF file's metadata.</summary>
    [Fact]
    public void A_folder_made_of_the_file_encodes_and_renders_the_same()
    {
        string folder = FolderOf(Tokenizer.DescribeForFolder(DemoFile()));
        Tokenizer file = Tokenizer.Load(DemoFile());
        Tokenizer made = Tokenizer.Load(folder);
        AssertSame(file, made, Odd(seed: 1, file));
        Assert.Equal(file.VocabularySize, made.VocabularySize);
        for (int id = 0; id < made.VocabularySize; id++)
        {
            Assert.Equal((file.IsSpecial(id), file.IsAdded(id)), (made.IsSpecial(id), made.IsAdded(id)));
            Assert.True(file.TokenBytes(id).SequenceEqual(made.TokenBytes(id)));
        }

        ChatTemplate inFile = ChatTemplate.Load(DemoFile())!;
        ChatTemplate inFolder = ChatTemplate.Load(folder)!;
        Assert.Equal(inFile.Source, inFolder.Source);
        Assert.Null(inFolder.ToolUseSource);
        Assert.Equal(inFile.SpecialTokens.OrderBy(pair => pair.Key, StringComparer.Ordinal), inFolder.SpecialTokens.OrderBy(pair => pair.Key, StringComparer.Ordinal));
        JsonObject chat = new() { ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "\u2028é <|im_end|>" }), ["add_generation_prompt"] = true };
        Assert.Equal(inFile.Render(chat), inFolder.Render((JsonObject)chat.DeepClone()));

        // A folder's own files are copied; nothing has to be said of them.
        Assert.Empty(Tokenizer.DescribeForFolder(DemoFolder));
    }

    /// <summary>All ways to split, a vocabulary with holes, merges that look like comments, tokens that JSON escapes.</summary>
    [Theory]
    [InlineData("qwen2")]
    [InlineData("deepseek-r1-qwen")]
    [InlineData("qwen35")]
    [InlineData("gpt-2")]
    public void Whatever_is_read_is_written(string pre)
    {
        string[] merges = ["# v", "#v e", "#ve r", "#ver s", "#vers i", "#versi o", "#versio n", "#version s", "t h", "th e", "Ġ the", "Ċ Ċ", "Ã ©", "1 2", "\" \\", "' s", "' r", "'r e"];
        string[] bytes = [.. Enumerable.Range(0, 256).Select(value => ByteAlphabet.Spell((byte)value).ToString())];
        string[] tokens =
        [
            .. bytes, .. merges.Select(merge => merge.Replace(" ", "", StringComparison.Ordinal)), "[PAD]", "<|end|>", "<think>", "[PAD]", "é\"\\\u2028 <", "\U0001F600\n",
        ];
        GgufTokenType[] types =
        [
            .. Enumerable.Repeat(GgufTokenType.Normal, 256 + merges.Length), GgufTokenType.Unused, GgufTokenType.Control, GgufTokenType.UserDefined, GgufTokenType.Unused,
            GgufTokenType.UserDefined, GgufTokenType.Unknown,
        ];
        int end = Array.IndexOf(tokens, "<|end|>");
        GgufText text = new()
        {
            Model = "gpt2",
            Pre = pre,
            Tokens = tokens,
            Types = types,
            Merges = merges,
            ChatTemplate = "{{ eos_token }}{{ messages[0].content }}é\u2028\n",
            ToolTemplate = "tools: {{ tools | tojson }}",
            SpecialTokens = new Dictionary<string, int> { ["eos_token"] = end, ["pad_token"] = end + 2, ["bos_token"] = 70_000 },
        };
        (byte[] json, byte[] configuration) = FolderText.Of(text);
        Tokenizer file = Tokenizer.FromGguf(text);
        AssertSame(file, Tokenizer.Parse(json), Odd(seed: 2, file));
        if (pre != "gpt-2") // which splits behind the "#"
            Assert.Equal([Array.IndexOf(tokens, "#versions")], Tokenizer.Parse(json).Encode("#versions"));

        ChatTemplate template = ChatTemplate.Load(FolderOf(new Dictionary<string, byte[]> { ["tokenizer_config.json"] = configuration }))!;
        Assert.Equal((text.ChatTemplate, text.ToolTemplate), (template.Source, template.ToolUseSource));

        // Ids without a token, and those that no vocabulary has, are left out.
        Assert.Equal([KeyValuePair.Create("eos_token", "<|end|>")], template.SpecialTokens);
    }

    /// <summary>With a typed error, and before there is anything to write.</summary>
    [Fact]
    public void No_folder_is_made_of_what_cannot_be_said()
    {
        GgufText demo = GgufText.Read(DemoFile());
        foreach (GgufText text in (GgufText[])[demo with { Model = "llama" }, demo with { Model = "bert" }, demo with { Pre = "tekken" }, demo with { AddsBeginOfText = true }, demo with { Merges = ["a b c"] }])
        {
            Assert.Throws<TokenizerException>(() => FolderText.Of(text));
            Assert.Equal(Assert.Throws<TokenizerException>(() => Tokenizer.FromGguf(text)).Message, Assert.Throws<TokenizerException>(() => FolderText.Of(text)).Message);
        }

        Assert.Throws<TokenizerException>(() => FolderText.Of(demo with { Tokens = [.. demo.Tokens.Take(4223), new string('x', 513)], Types = [.. demo.Types.Take(4223), GgufTokenType.Control] }));
    }

    [Fact]
    public void Files_without_a_vocabulary_say_nothing()
    {
        string file = Path.Combine(_folder.FullName, "none.gguf");
        using (Checkpoint checkpoint = Checkpoint.Open(DemoFolder))
            GgufQuantiser.Write(checkpoint, file, GgufMix.BF16);
        Assert.Empty(Tokenizer.DescribeForFolder(file));
        Assert.Null(Tokenizer.DescribeForGguf(file, 4224));
    }

    [Fact]
    public void What_is_wrong_or_not_implemented_is_refused_by_key()
    {
        GgufText demo = TokenizerGguf.Write(TokenizerJson.Read(File.ReadAllBytes(Path.Combine(DemoFolder, "tokenizer.json"))), 4224);
        Refused("tokenizer.ggml.model: \"llama\"", demo with { Model = "llama" });
        Refused("tokenizer.ggml.pre: \"tekken\" is not implemented; supported are qwen2", demo with { Pre = "tekken" });
        Refused("tokenizer.ggml.add_bos_token", demo with { AddsBeginOfText = true });
        Refused("tokenizer.ggml.tokens[4223]: \"!\" is there twice", demo with { Tokens = [.. demo.Tokens.Take(4223), "!"], Types = [.. demo.Types.Take(4223), GgufTokenType.Normal] });
        Refused("is there twice", demo with { Tokens = [.. demo.Tokens.Take(4223), "!"], Types = [.. demo.Types.Take(4223), GgufTokenType.Control] });
        Refused("tokenizer.ggml.token_type[4223]: 6", demo with { Types = [.. demo.Types.Take(4223), GgufTokenType.Byte] });
        Refused("tokenizer.ggml.token_type[4223]: 77", demo with { Types = [.. demo.Types.Take(4223), (GgufTokenType)77] });
        Refused("tokenizer.ggml.merges[1]: expected \"left right\"", demo with { Merges = [demo.Merges[0], "ab"] });
        Refused("tokenizer.ggml.merges[0]: expected \"left right\"", demo with { Merges = ["a b c"] });
        Refused("tokenizer.ggml.merges[0]: \"nowhere\" is not in the vocabulary", demo with { Merges = ["nowhere b"] });
        Refused("no token for the byte", demo with { Types = [GgufTokenType.Unused, .. demo.Types.Skip(1)] });
        TokenizerDefinition definition = TokenizerJson.Read(File.ReadAllBytes(Path.Combine(DemoFolder, "tokenizer.json")));
        Assert.Throws<TokenizerException>(() => TokenizerGguf.Write(definition, 4000));
        Assert.Throws<TokenizerException>(() => TokenizerGguf.Write(definition with { SplitPatterns = ["a+"] }, 4224));
    }

    private static void Refused(string because, GgufText text) =>
        Assert.Contains(because, Assert.Throws<TokenizerException>(() => Tokenizer.FromGguf(text)).Message, StringComparison.Ordinal);

    private static void AssertSame(Tokenizer file, Tokenizer made, IEnumerable<string> texts)
    {
        foreach (string text in texts)
        {
            foreach (bool special in (ReadOnlySpan<bool>)[true, false])
            {
                int[] ids = file.Encode(text, special);
                Assert.Equal(ids, made.Encode(text, special));
                Assert.Equal(file.Decode(ids), made.Decode(ids));
                Assert.Equal(file.Decode(ids, skipSpecial: true), made.Decode(ids, skipSpecial: true));
            }
        }
    }

    /// <summary>Strings of every script and plane, those that Qwen3's tokenizer was compared on, and added tokens in bad company.</summary>
    private static IEnumerable<string> Odd(int seed, Tokenizer tokenizer)
    {
        Random random = new(seed);
        for (int i = 0; i < 400; i++)
            yield return RandomText.Next(random, maxParts: 40, loneSurrogates: true);
        using JsonDocument document = TokenizerData.Read("qwen3_tokenizer_vectors.json.gz");
        foreach (JsonElement vector in document.RootElement.GetProperty("vectors").EnumerateArray())
            yield return vector.GetProperty("text").GetString()!;
        foreach (int id in Enumerable.Range(0, tokenizer.VocabularySize).Where(tokenizer.IsAdded))
            yield return $" {tokenizer.Decode([id])}{tokenizer.Decode([id])[1..]}e\u0301{tokenizer.Decode([id])}\n";
    }

    private string FolderOf(IReadOnlyDictionary<string, byte[]> files)
    {
        string folder = _folder.CreateSubdirectory("made").FullName;
        foreach ((string name, byte[] content) in files)
            File.WriteAllBytes(Path.Combine(folder, name), content);
        return folder;
    }

    private string DemoFile()
    {
        string file = Path.Combine(_folder.FullName, "demo.gguf");
        if (!File.Exists(file))
        {
            using Checkpoint checkpoint = Checkpoint.Open(DemoFolder);
            GgufQuantiser.Write(checkpoint, file, GgufMix.BF16, Tokenizer.DescribeForGguf(DemoFolder, checkpoint.Config.VocabularySize));
        }

        return file;
    }
}
