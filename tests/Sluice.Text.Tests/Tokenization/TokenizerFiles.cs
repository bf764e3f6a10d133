using System.Text;
using System.Text.Json.Nodes;
using Sluice.Text.Tokenization;

namespace Sluice.Text.Tests.Tokenization;

/// <summary>Small valid tokenizer.json files, built as tests need them.</summary>
internal static class TokenizerFiles
{
    /// <summary>A file whose vocabulary is every byte, then each merge's product, in order.</summary>
    /// <param name="merges">"left right", spelled in the byte alphabet.</param>
    public static JsonObject Create(params string[] merges)
    {
        var vocabulary = new JsonObject();
        for (int value = 0; value < 256; value++)
            vocabulary[ByteAlphabet.Spell((byte)value).ToString()] = value;
        foreach (string merge in merges)
            vocabulary.TryAdd(merge.Replace(" ", "", StringComparison.Ordinal), vocabulary.Count);

        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray(),
            ["normalizer"] = new JsonObject { ["type"] = "NFC" },
            ["pre_tokenizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new JsonArray(
                    new JsonObject
                    {
                        ["type"] = "Split",
                        ["pattern"] = new JsonObject { ["Regex"] = SplitPatterns.Qwen2 },
                        ["behavior"] = "Isolated",
                        ["invert"] = false,
                    },
                    ByteLevel()),
            },
            ["post_processor"] = ByteLevel(),
            ["decoder"] = ByteLevel(),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = null,
                ["continuing_subword_prefix"] = null,
                ["end_of_word_suffix"] = null,
                ["fuse_unk"] = false,
                ["byte_fallback"] = false,
                ["ignore_merges"] = false,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. merges.Select(merge => JsonValue.Create(merge))]),
            },
        };
    }

    public static JsonObject ByteLevel() => new()
    {
        ["type"] = "ByteLevel",
        ["add_prefix_space"] = false,
        ["trim_offsets"] = false,
        ["use_regex"] = false,
    };

    public static JsonObject AddedToken(int id, string content, bool special = true, bool normalized = false) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = normalized,
        ["special"] = special,
    };

    public static JsonObject With(this JsonObject file, params JsonObject[] addedTokens)
    {
        file["added_tokens"] = new JsonArray([.. addedTokens]);
        return file;
    }

    public static Tokenizer Parse(this JsonObject file) => Tokenizer.Parse(Encoding.UTF8.GetBytes(file.ToJsonString()));
}
