using System.Text.Json;
using Sluice.Core;

namespace Sluice.Text.Tokenization;

/// <summary>
/// Reads tokenizer.json for byte-level BPE. What would change ids or text and is not implemented is refused by name; what has no
/// effect here (offsets, caches, unknown-token settings of a vocabulary that knows every byte) is passed over.
/// </summary>
internal static partial class TokenizerJson
{
    /// <summary>Largest file accepted. The largest vocabularies in use are 35 MB.</summary>
    public const int MaxFileBytes = 64 << 20;

    /// <summary>Longest text of an added token.</summary>
    internal const int MaxAddedLength = 512;

    private const int MaxDepth = 32;

    // Ids index arrays, here and in the model, so a stray one must not reserve memory out of all proportion.
    private const int MaxIdCount = 1 << 22;
    private const int IdsPerTokenAllowed = 8;
    private const int SpareIdsAllowed = 4096;

    private static readonly JsonDocumentOptions Options = new() { MaxDepth = MaxDepth };

    /// <summary>Reads and checks a file.</summary>
    /// <exception cref="TokenizerException">The file is malformed, contradicts itself, or asks for what is not implemented.</exception>
    public static TokenizerDefinition Read(ReadOnlyMemory<byte> json)
    {
        if (json.Length > MaxFileBytes)
            throw new TokenizerException($"tokenizer.json: expected at most {MaxFileBytes} bytes, found {json.Length}");

        try
        {
            return ReadSections(json);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException is how System.Text.Json reports strings that are no Unicode: broken UTF-8, half an escape pair.
            throw TokenizerErrors.InJson(e);
        }
    }

    private static TokenizerDefinition ReadSections(ReadOnlyMemory<byte> json)
    {
        var sections = new JsonSections(json, MaxDepth, descendInto: "model");
        CheckVersion(sections);
        foreach (string setting in (ReadOnlySpan<string>)["truncation", "padding"])
        {
            if (!sections.IsNull(setting))
                throw TokenizerErrors.At(setting, "expected null; truncation and padding are not implemented");
        }

        Dictionary<string, int> vocabulary = ReadVocabulary(sections);
        int[] byteIds = FindBytes(vocabulary);
        Merge[] merges = ReadMerges(sections, vocabulary);
        IReadOnlyList<AddedToken> addedTokens = ReadAddedTokens(sections, vocabulary);
        CheckPostProcessor(sections);
        CheckDecoder(sections);
        return new TokenizerDefinition
        {
            Vocabulary = vocabulary,
            ByteIds = byteIds,
            Merges = merges,
            IgnoresMerges = ReadModelFlags(sections),
            AddedTokens = addedTokens,
            Composes = ReadNormalizer(sections),
            SplitPatterns = ReadPreTokenizer(sections),
            IdCount = CountIds(vocabulary, addedTokens),
        };
    }

    private static void CheckVersion(JsonSections sections)
    {
        using JsonDocument? version = sections.Parse("version", Options);
        if (version is not null && !(version.RootElement.ValueKind == JsonValueKind.String && version.RootElement.ValueEquals("1.0")))
            throw TokenizerErrors.At("version", "expected \"1.0\"");
    }

    private static List<AddedToken> ReadAddedTokens(JsonSections sections, Dictionary<string, int> vocabulary)
    {
        var tokens = new List<AddedToken>();
        using JsonDocument? document = sections.Parse("added_tokens", Options);
        if (document is null)
            return tokens;
        if (document.RootElement.ValueKind != JsonValueKind.Array)
            throw TokenizerErrors.At("added_tokens", "expected an array");

        var contents = new HashSet<string>(StringComparer.Ordinal);
        HashSet<int> ids = [.. vocabulary.Values];
        foreach (JsonElement element in document.RootElement.EnumerateArray())
        {
            AddedToken token = ReadAddedToken(element, $"added_tokens[{tokens.Count}]");
            if (token.Content.Length == 0)
                continue;

            bool isInVocabulary = vocabulary.TryGetValue(token.Content, out int id);
            if (isInVocabulary && id != token.Id)
                throw TokenizerErrors.At($"added_tokens[{tokens.Count}]", $"{TokenizerErrors.Quote(token.Content)} has id {token.Id}, in the vocabulary {id}");
            if (!contents.Add(token.Content))
                throw TokenizerErrors.At($"added_tokens[{tokens.Count}]", $"{TokenizerErrors.Quote(token.Content)} is there twice");
            if (!isInVocabulary && !ids.Add(token.Id))
                throw TokenizerErrors.At($"added_tokens[{tokens.Count}]", $"id {token.Id} of {TokenizerErrors.Quote(token.Content)} belongs to another token");
            tokens.Add(token);
        }

        return tokens;
    }

    private static AddedToken ReadAddedToken(JsonElement element, string where)
    {
        if (element.ValueKind != JsonValueKind.Object)
            throw TokenizerErrors.At(where, "expected an object");

        string content = StringOf(element, "content", where);
        if (content.Length > MaxAddedLength)
            throw TokenizerErrors.At(where, $"expected a content of at most {MaxAddedLength} characters, found {content.Length}");
        if (!element.TryGetProperty("id", out JsonElement idElement) || idElement.ValueKind != JsonValueKind.Number
            || !idElement.TryGetInt32(out int id) || id < 0 || id >= MaxIdCount)
            throw TokenizerErrors.At(where, $"expected an id from 0 to {MaxIdCount - 1}");

        bool special = BooleanOf(element, "special", where, absent: false);
        return new AddedToken(
            id,
            content,
            special,
            SingleWord: BooleanOf(element, "single_word", where, absent: false),
            StripsLeft: BooleanOf(element, "lstrip", where, absent: false),
            StripsRight: BooleanOf(element, "rstrip", where, absent: false),
            Normalized: BooleanOf(element, "normalized", where, absent: !special));
    }

    internal static int CountIds(Dictionary<string, int> vocabulary, IReadOnlyList<AddedToken> addedTokens)
    {
        int highest = vocabulary.Values.Concat(addedTokens.Select(token => token.Id)).Max();
        int tokens = vocabulary.Count + addedTokens.Count;
        return highest < (long)tokens * IdsPerTokenAllowed + SpareIdsAllowed
            ? highest + 1
            : throw TokenizerErrors.At("model.vocab", $"id {highest} is out of proportion to {tokens} tokens");
    }

    private static string StringOf(JsonElement element, string property, string where) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(property, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw TokenizerErrors.At($"{where}.{property}", "expected a string");

    private static bool BooleanOf(JsonElement element, string property, string where, bool absent)
    {
        if (!element.TryGetProperty(property, out JsonElement value))
            return absent;
        return value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw TokenizerErrors.At($"{where}.{property}", "expected true or false"),
        };
    }
}
