using System.Buffers;
using System.Text.Json;
using Sluice.Core;

namespace Sluice.Text.Tokenization;

// The model section: vocabulary and merges, read token by token since they are nearly all of the file.
internal static partial class TokenizerJson
{
    private static Dictionary<string, int> ReadVocabulary(JsonSections sections)
    {
        if (sections.IsNull("model.vocab"))
            throw TokenizerErrors.At("model.vocab", "expected an object");
        Utf8JsonReader reader = sections.Open("model.vocab");
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw TokenizerErrors.At("model.vocab", "expected an object");

        // Vocabularies run to a quarter of a million entries of about 16 bytes.
        var vocabulary = new Dictionary<string, int>(sections.LengthOf("model.vocab") / 32, StringComparer.Ordinal);
        var ids = new HashSet<int>();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string token = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt32(out int id) || id < 0 || id >= MaxIdCount)
                throw TokenizerErrors.At("model.vocab", $"expected an id from 0 to {MaxIdCount - 1} for {TokenizerErrors.Quote(token)}");
            if (!vocabulary.TryAdd(token, id))
                throw TokenizerErrors.At("model.vocab", $"{TokenizerErrors.Quote(token)} is there twice");
            if (!ids.Add(id))
                throw TokenizerErrors.At("model.vocab", $"id {id} of {TokenizerErrors.Quote(token)} belongs to another token");
        }

        return vocabulary;
    }

    // Every byte that UTF-8 text can contain must have its token, so that there is no text without an encoding.
    internal static int[] FindBytes(Dictionary<string, int> vocabulary)
    {
        int[] ids = new int[256];
        for (int value = 0; value < ids.Length; value++)
        {
            bool occurs = value is < 0xC0 or (> 0xC1 and < 0xF5);
            if (vocabulary.TryGetValue(ByteAlphabet.Spell((byte)value).ToString(), out int id))
                ids[value] = id;
            else
                ids[value] = !occurs ? -1 : throw TokenizerErrors.At("model.vocab", $"no token for the byte 0x{value:X2}");
        }

        return ids;
    }

    private static Merge[] ReadMerges(JsonSections sections, Dictionary<string, int> vocabulary)
    {
        if (sections.IsNull("model.merges"))
            throw TokenizerErrors.At("model.merges", "expected an array");
        Utf8JsonReader reader = sections.Open("model.merges");
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartArray)
            throw TokenizerErrors.At("model.merges", "expected an array");

        Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> ids = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        var merges = new List<Merge>(vocabulary.Count);
        char[] buffer = ArrayPool<char>.Shared.Rent(1024);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            // Both spellings end up as left and right next to each other, which is how the product is spelled.
            int leftLength = reader.TokenType == JsonTokenType.StartArray
                ? ReadPair(ref reader, ref buffer, merges.Count, out int length)
                : ReadSpaced(ref reader, ref buffer, merges.Count, out length);
            if (leftLength < 0)
                continue;

            ReadOnlySpan<char> product = buffer.AsSpan(0, length);
            merges.Add(new Merge(
                IdIn(ids, product[..leftLength], merges.Count),
                IdIn(ids, product[leftLength..], merges.Count),
                IdIn(ids, product, merges.Count)));
        }

        ArrayPool<char>.Shared.Return(buffer);
        return [.. merges];
    }

    private static int IdIn(Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> ids, ReadOnlySpan<char> token, int merge) =>
        ids.TryGetValue(token, out int id)
            ? id
            : throw TokenizerErrors.At($"model.merges[{merge}]", $"{TokenizerErrors.Quote(token)} is not in the vocabulary");

    // ["left", "right"]
    private static int ReadPair(ref Utf8JsonReader reader, ref char[] buffer, int merge, out int length)
    {
        reader.Read();
        int leftLength = ReadString(ref reader, ref buffer, 0, merge);
        reader.Read();
        length = leftLength + ReadString(ref reader, ref buffer, leftLength, merge);
        return reader.Read() && reader.TokenType == JsonTokenType.EndArray ? leftLength : throw NotAPair(merge);
    }

    // "left right"; a line of the merges.txt the file was made from may have come along as "#version: 0.2".
    private static int ReadSpaced(ref Utf8JsonReader reader, ref char[] buffer, int merge, out int length)
    {
        length = ReadString(ref reader, ref buffer, 0, merge);
        Span<char> text = buffer.AsSpan(0, length);
        if (text.StartsWith("#version"))
            return -1;

        int space = text.IndexOf(' ');
        if (space < 0 || text[(space + 1)..].Contains(' '))
            throw NotAPair(merge);
        text[(space + 1)..].CopyTo(text[space..]);
        length--;
        return space;
    }

    private static int ReadString(ref Utf8JsonReader reader, ref char[] buffer, int at, int merge)
    {
        if (reader.TokenType != JsonTokenType.String)
            throw NotAPair(merge);

        // UTF-16 never takes more chars than UTF-8 takes bytes.
        int needed = checked(at + reader.ValueSpan.Length);
        if (needed > buffer.Length)
        {
            char[] larger = ArrayPool<char>.Shared.Rent(needed);
            buffer.AsSpan(0, at).CopyTo(larger);
            ArrayPool<char>.Shared.Return(buffer);
            buffer = larger;
        }

        return reader.CopyString(buffer.AsSpan(at));
    }

    private static TokenizerException NotAPair(int merge) =>
        TokenizerErrors.At($"model.merges[{merge}]", "expected \"left right\" or [\"left\", \"right\"]");

    // Returns ignore_merges. fuse_unk, byte_fallback and unk_token only concern characters without a token; there are none here.
    private static bool ReadModelFlags(JsonSections sections)
    {
        using (JsonDocument? type = sections.Parse("model.type", Options))
        {
            // The oldest files leave the type out.
            if (type is not null && !(type.RootElement.ValueKind == JsonValueKind.String && type.RootElement.ValueEquals("BPE")))
                throw TokenizerErrors.At("model.type", $"expected \"BPE\", found {TokenizerErrors.Quote(type.RootElement.GetRawText())}");
        }

        foreach (string affix in (ReadOnlySpan<string>)["model.continuing_subword_prefix", "model.end_of_word_suffix"])
        {
            using JsonDocument? value = sections.Parse(affix, Options);
            if (value is not null && !(value.RootElement.ValueKind == JsonValueKind.String && value.RootElement.ValueEquals("")))
                throw TokenizerErrors.At(affix, "expected null or an empty string; affixes are not implemented");
        }

        using (JsonDocument? dropout = sections.Parse("model.dropout", Options))
        {
            if (dropout is not null && !(dropout.RootElement.ValueKind == JsonValueKind.Number && dropout.RootElement.TryGetDouble(out double p) && p == 0))
                throw TokenizerErrors.At("model.dropout", "expected null or 0; random merging is not implemented");
        }

        using JsonDocument? ignores = sections.Parse("model.ignore_merges", Options);
        return ignores?.RootElement.ValueKind switch
        {
            null or JsonValueKind.False => false,
            JsonValueKind.True => true,
            _ => throw TokenizerErrors.At("model.ignore_merges", "expected true or false"),
        };
    }
}
