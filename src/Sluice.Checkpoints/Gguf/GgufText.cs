using Sluice.Core;

namespace Sluice.Checkpoints.Gguf;

/// <summary>What a token of a GGUF file is, numbered as in files.</summary>
public enum GgufTokenType
{
    /// <summary>Part of text, spelled byte by byte.</summary>
    Normal = 1,

    /// <summary>Stands for what has no token.</summary>
    Unknown = 2,

    /// <summary>Controls the model rather than being part of its text.</summary>
    Control = 3,

    /// <summary>Recognised as a whole, but part of the text.</summary>
    UserDefined = 4,

    /// <summary>An id that no token has.</summary>
    Unused = 5,

    /// <summary>One byte, in vocabularies that are not byte-level.</summary>
    Byte = 6,
}

/// <summary>What a GGUF file says about text: vocabulary, merges and chat template, as they are stored; whoever makes a tokenizer of it checks them.</summary>
public sealed record GgufText
{
    private const int MaxTokens = 1 << 22;

    /// <summary>Kind of tokenizer: <c>gpt2</c> is byte-level BPE.</summary>
    public required string Model { get; init; }

    /// <summary>How text is split before it is merged: <c>qwen2</c>, <c>qwen35</c>.</summary>
    public required string Pre { get; init; }

    /// <summary>Every token by id.</summary>
    public required IReadOnlyList<string> Tokens { get; init; }

    /// <summary>What each is; as many.</summary>
    public required IReadOnlyList<GgufTokenType> Types { get; init; }

    /// <summary>Merge rules, <c>left right</c>, first to last.</summary>
    public required IReadOnlyList<string> Merges { get; init; }

    /// <summary>Whether texts begin with a token that nobody wrote.</summary>
    public bool AddsBeginOfText { get; init; }

    /// <summary>The chat template; null when there is none.</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>The one to use when tools are given; null when it is the same.</summary>
    public string? ToolTemplate { get; init; }

    /// <summary>Ids of special tokens by their names in templates, such as <c>eos_token</c>.</summary>
    public IReadOnlyDictionary<string, int> SpecialTokens { get; init; } = new Dictionary<string, int>(StringComparer.Ordinal);

    /// <summary>Reads what a file has; of several that belong together, the first has all of it.</summary>
    /// <exception cref="CheckpointException">The file cannot be read, breaks its format, or lacks a vocabulary.</exception>
    public static GgufText Read(string path) => GgufCheckpoint.WithMetadata(path, Read);

    /// <summary><see cref="Read(string)"/>; null for a file that says it has no vocabulary.</summary>
    /// <exception cref="CheckpointException">As <see cref="Read(string)"/>.</exception>
    public static GgufText? ReadOptional(string path) =>
        GgufCheckpoint.WithMetadata(path, metadata => metadata.Text(GgufKeys.TokenizerModel) == GgufKeys.NoTokenizer ? null : Read(metadata));

    /// <summary>Reads the chat template and the special tokens' texts, which is quicker: the vocabulary stays where it is.</summary>
    /// <exception cref="CheckpointException">The file cannot be read, or breaks its format.</exception>
    public static (string? Template, string? ToolTemplate, IReadOnlyDictionary<string, string> SpecialTokens) ReadTemplate(string path) =>
        GgufCheckpoint.WithMetadata(path, metadata =>
        {
            Dictionary<string, string> texts = new(StringComparer.Ordinal);
            foreach ((string name, int id) in ReadSpecialTokens(metadata))
            {
                if (metadata.StringAt(GgufKeys.Tokens, id) is { } text)
                    texts[name] = text;
            }

            return (metadata.Text(GgufKeys.ChatTemplate), metadata.Text(GgufKeys.ToolTemplate), (IReadOnlyDictionary<string, string>)texts);
        });

    private static GgufText Read(GgufMetadata metadata)
    {
        string[] tokens = metadata.Strings(GgufKeys.Tokens, MaxTokens) ?? throw metadata.Missing(GgufKeys.Tokens);
        int[]? types = metadata.Integers(GgufKeys.TokenTypes, int.MinValue, int.MaxValue, MaxTokens);
        if (types is not null && types.Length != tokens.Length)
            throw metadata.Error(GgufKeys.TokenTypes, $"expected {tokens.Length} elements, as tokens, found {types.Length}");
        return new GgufText
        {
            Model = metadata.Text(GgufKeys.TokenizerModel) ?? throw metadata.Missing(GgufKeys.TokenizerModel),
            Pre = metadata.Text(GgufKeys.TokenizerPre) ?? "default",
            Tokens = tokens,
            Types = types is null ? [.. Enumerable.Repeat(GgufTokenType.Normal, tokens.Length)] : Array.ConvertAll(types, type => (GgufTokenType)type),
            Merges = metadata.Strings(GgufKeys.Merges, MaxTokens) ?? throw metadata.Missing(GgufKeys.Merges),
            AddsBeginOfText = metadata.Boolean("tokenizer.ggml.add_bos_token") ?? false,
            ChatTemplate = metadata.Text(GgufKeys.ChatTemplate),
            ToolTemplate = metadata.Text(GgufKeys.ToolTemplate),
            SpecialTokens = ReadSpecialTokens(metadata),
        };
    }

    private static Dictionary<string, int> ReadSpecialTokens(GgufMetadata metadata)
    {
        Dictionary<string, int> ids = new(StringComparer.Ordinal);
        foreach ((string key, string name) in GgufKeys.SpecialTokens)
        {
            if (metadata.Integer(key, -1, int.MaxValue) is { } id and >= 0)
                ids[name] = id;
        }

        return ids;
    }
}
