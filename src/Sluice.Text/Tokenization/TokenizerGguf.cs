using Sluice.Checkpoints.Gguf;
using Sluice.Core;

namespace Sluice.Text.Tokenization;

/// <summary>
/// A tokenizer out of the metadata of a GGUF file. There, a name stands for how text is split (<c>tokenizer.ggml.pre</c>), and nothing says whether it is
/// composed first: that is taken from what the model's own tokenizer.json does.
/// </summary>
internal static class TokenizerGguf
{
    private const string ByteLevel = "gpt2";

    /// <summary>Names of split patterns, whether text is composed with them, and the pattern; the first name for a pattern is the one written.</summary>
    private static readonly (string Pre, bool Composes, string Pattern)[] Splits =
    [
        ("qwen2", true, SplitPatterns.Qwen2),
        ("deepseek-r1-qwen", true, SplitPatterns.Qwen2),
        ("qwen35", true, SplitPatterns.Qwen35),
        ("gpt-2", false, SplitPatterns.Gpt2),
    ];

    /// <summary>Checks what a file says, as tokenizer.json is checked.</summary>
    /// <exception cref="TokenizerException">It contradicts itself, or asks for what is not implemented.</exception>
    internal static TokenizerDefinition Read(GgufText text)
    {
        if (text.Model != ByteLevel)
            throw TokenizerErrors.InGguf("tokenizer.ggml.model", $"{TokenizerErrors.Quote(text.Model)} is not implemented; expected {ByteLevel}");
        if (text.AddsBeginOfText)
            throw TokenizerErrors.InGguf("tokenizer.ggml.add_bos_token", "adds a token to every text, which is not implemented");
        (_, bool composes, string? pattern) = Array.Find(Splits, split => split.Pre == text.Pre);
        if (pattern is null)
        {
            throw TokenizerErrors.InGguf(
                "tokenizer.ggml.pre", $"{TokenizerErrors.Quote(text.Pre)} is not implemented; supported are {string.Join(", ", Splits.Select(split => split.Pre))}");
        }

        (Dictionary<string, int> vocabulary, List<AddedToken> added) = ReadTokens(text);
        return new TokenizerDefinition
        {
            Vocabulary = vocabulary,
            ByteIds = TokenizerJson.FindBytes(vocabulary),
            Merges = ReadMerges(text.Merges, vocabulary),
            IgnoresMerges = false,
            AddedTokens = added,
            Composes = composes,
            SplitPatterns = [pattern],
            IdCount = TokenizerJson.CountIds(vocabulary, added),
        };
    }

    /// <summary>The reverse of <see cref="Read"/>, without template and special tokens.</summary>
    /// <param name="definition">The tokenizer.</param>
    /// <param name="vocabularySize">Ids the model has; those that no token has are written as unused.</param>
    /// <exception cref="TokenizerException">The file's format has no name for what the tokenizer does, or the model fewer ids.</exception>
    internal static GgufText Write(TokenizerDefinition definition, int vocabularySize)
    {
        (string? pre, _, _) = Array.Find(
            Splits, split => definition.SplitPatterns.Count == 1 && split.Pattern == definition.SplitPatterns[0] && split.Composes == definition.Composes);
        if (pre is null || definition.IgnoresMerges)
            throw new TokenizerException("tokenizer.json: GGUF files have no name that is known here for how it splits text");
        if (definition.IdCount > vocabularySize)
            throw new TokenizerException($"tokenizer.json: expected ids below {vocabularySize}, the model's vocabulary, found {definition.IdCount - 1}");
        string[] tokens = new string[vocabularySize];
        var types = new GgufTokenType[vocabularySize];
        foreach ((string token, int id) in definition.Vocabulary)
            (tokens[id], types[id]) = (token, GgufTokenType.Normal);
        foreach (AddedToken token in definition.AddedTokens)
            (tokens[token.Id], types[token.Id]) = (token.Content, token.Special ? GgufTokenType.Control : GgufTokenType.UserDefined);
        for (int id = 0; id < tokens.Length; id++)
        {
            if (tokens[id] is null)
                (tokens[id], types[id]) = (string.Create(System.Globalization.CultureInfo.InvariantCulture, $"[PAD{id}]"), GgufTokenType.Unused);
        }

        return new GgufText
        {
            Model = ByteLevel,
            Pre = pre,
            Tokens = tokens,
            Types = types,
            Merges = Array.ConvertAll(definition.Merges, merge => $"{tokens[merge.Left]} {tokens[merge.Right]}"),
        };
    }

    private static (Dictionary<string, int> Vocabulary, List<AddedToken> Added) ReadTokens(GgufText text)
    {
        var vocabulary = new Dictionary<string, int>(text.Tokens.Count, StringComparer.Ordinal);
        List<AddedToken> added = [];
        HashSet<string> contents = new(StringComparer.Ordinal);
        for (int id = 0; id < text.Tokens.Count; id++)
        {
            string token = text.Tokens[id];
            switch (text.Types[id])
            {
                case GgufTokenType.Unused:
                    break;
                case GgufTokenType.Normal:
                    if (!vocabulary.TryAdd(token, id))
                        throw Twice(id, token);
                    break;
                case GgufTokenType.Control or GgufTokenType.Unknown or GgufTokenType.UserDefined:
                    if (token.Length is 0 or > TokenizerJson.MaxAddedLength)
                        throw TokenizerErrors.InGguf($"tokenizer.ggml.tokens[{id}]", $"expected 1 to {TokenizerJson.MaxAddedLength} characters, found {token.Length}");
                    if (!contents.Add(token))
                        throw Twice(id, token);
                    bool special = text.Types[id] != GgufTokenType.UserDefined;
                    added.Add(new AddedToken(id, token, special, SingleWord: false, StripsLeft: false, StripsRight: false, Normalized: false));
                    break;
                default:
                    throw TokenizerErrors.InGguf($"tokenizer.ggml.token_type[{id}]", $"{(int)text.Types[id]} is not implemented");
            }
        }

        foreach (AddedToken token in added)
        {
            if (vocabulary.TryGetValue(token.Content, out int id))
                throw Twice(id, token.Content);
        }

        return (vocabulary, added);
    }

    private static Merge[] ReadMerges(IReadOnlyList<string> lines, Dictionary<string, int> vocabulary)
    {
        Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> ids = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        var merges = new Merge[lines.Count];
        for (int i = 0; i < merges.Length; i++)
        {
            ReadOnlySpan<char> line = lines[i];
            int space = line.IndexOf(' ');
            if (space < 0 || line[(space + 1)..].Contains(' '))
                throw TokenizerErrors.InGguf($"tokenizer.ggml.merges[{i}]", "expected \"left right\"");
            ReadOnlySpan<char> left = line[..space];
            ReadOnlySpan<char> right = line[(space + 1)..];
            merges[i] = new Merge(Id(ids, left, i), Id(ids, right, i), Id(ids, string.Concat(left, right), i));
        }

        return merges;
    }

    private static int Id(Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> ids, ReadOnlySpan<char> token, int merge) =>
        ids.TryGetValue(token, out int id)
            ? id
            : throw TokenizerErrors.InGguf($"tokenizer.ggml.merges[{merge}]", $"{TokenizerErrors.Quote(token)} is not in the vocabulary");

    private static TokenizerException Twice(int id, string token) =>
        TokenizerErrors.InGguf($"tokenizer.ggml.tokens[{id}]", $"{TokenizerErrors.Quote(token)} is there twice");
}
