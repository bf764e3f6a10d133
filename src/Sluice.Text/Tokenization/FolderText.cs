using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Sluice.Checkpoints.Gguf;
using Sluice.Core;

namespace Sluice.Text.Tokenization;

/// <summary>
/// Writes what a GGUF file says about text as the files that a folder has: <c>tokenizer.json</c> and <c>tokenizer_config.json</c>.
/// </summary>
internal static class FolderText
{
    private static readonly JsonWriterOptions Form = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The two files.</summary>
    /// <exception cref="TokenizerException">The metadata contradict themselves, or no tokenizer.json that is read here can say what they do.</exception>
    internal static (byte[] Tokenizer, byte[] Configuration) Of(GgufText text)
    {
        TokenizerDefinition definition = TokenizerGguf.Read(text);
        byte[] tokenizer = Written(json => WriteTokenizer(json, definition));

        // What could not be read again must not be written.
        TokenizerJson.Read(tokenizer);
        return (tokenizer, Written(json => WriteConfiguration(json, text, definition)));
    }

    private static byte[] Written(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, Form))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteTokenizer(Utf8JsonWriter json, TokenizerDefinition definition)
    {
        json.WriteString("version", "1.0");
        json.WriteNull("truncation");
        json.WriteNull("padding");
        json.WriteStartArray("added_tokens");
        foreach (AddedToken token in definition.AddedTokens)
        {
            json.WriteStartObject();
            json.WriteNumber("id", token.Id);
            json.WriteString("content", token.Content);
            json.WriteBoolean("single_word", token.SingleWord);
            json.WriteBoolean("lstrip", token.StripsLeft);
            json.WriteBoolean("rstrip", token.StripsRight);
            json.WriteBoolean("normalized", token.Normalized);
            json.WriteBoolean("special", token.Special);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        if (definition.Composes)
        {
            json.WriteStartObject("normalizer");
            json.WriteString("type", "NFC");
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("normalizer");
        }

        WriteSplits(json, definition.SplitPatterns);
        WriteByteLevel(json, "post_processor");
        WriteByteLevel(json, "decoder");
        WriteModel(json, definition);
    }

    private static void WriteSplits(Utf8JsonWriter json, IReadOnlyList<string> patterns)
    {
        json.WriteStartObject("pre_tokenizer");
        json.WriteString("type", "Sequence");
        json.WriteStartArray("pretokenizers");
        foreach (string pattern in patterns)
        {
            json.WriteStartObject();
            json.WriteString("type", "Split");
            json.WriteStartObject("pattern");
            json.WriteString("Regex", pattern);
            json.WriteEndObject();
            json.WriteString("behavior", "Isolated");
            json.WriteBoolean("invert", false);
            json.WriteEndObject();
        }

        WriteByteLevel(json);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteByteLevel(Utf8JsonWriter json, string? property = null)
    {
        if (property is null)
            json.WriteStartObject();
        else
            json.WriteStartObject(property);
        json.WriteString("type", "ByteLevel");
        json.WriteBoolean("add_prefix_space", false);
        json.WriteBoolean("trim_offsets", false);
        json.WriteBoolean("use_regex", false);
        json.WriteEndObject();
    }

    private static void WriteModel(Utf8JsonWriter json, TokenizerDefinition definition)
    {
        string[] tokens = new string[definition.IdCount];
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        json.WriteNull("dropout");
        json.WriteNull("unk_token");
        json.WriteNull("continuing_subword_prefix");
        json.WriteNull("end_of_word_suffix");
        json.WriteBoolean("fuse_unk", false);
        json.WriteBoolean("byte_fallback", false);
        json.WriteBoolean("ignore_merges", definition.IgnoresMerges);
        json.WriteStartObject("vocab");
        foreach ((string token, int id) in definition.Vocabulary)
        {
            tokens[id] = token;
            json.WriteNumber(token, id);
        }

        json.WriteEndObject();

        // As pairs: of merges spelled "left right", readers take one that begins with "#version" for a comment.
        json.WriteStartArray("merges");
        foreach (Merge merge in definition.Merges)
        {
            json.WriteStartArray();
            json.WriteStringValue(tokens[merge.Left]);
            json.WriteStringValue(tokens[merge.Right]);
            json.WriteEndArray();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteConfiguration(Utf8JsonWriter json, GgufText text, TokenizerDefinition definition)
    {
        HashSet<int> ids = [.. definition.Vocabulary.Values, .. definition.AddedTokens.Select(token => token.Id)];
        json.WriteBoolean("add_bos_token", text.AddsBeginOfText);
        json.WriteBoolean("add_prefix_space", false);

        // A token that is not in the vocabulary would be added to it by readers.
        foreach ((string name, int id) in text.SpecialTokens.Where(token => ids.Contains(token.Value)).OrderBy(token => token.Key, StringComparer.Ordinal))
            json.WriteString(name, text.Tokens[id]);
        json.WriteBoolean("clean_up_tokenization_spaces", false);
        json.WriteString("tokenizer_class", "PreTrainedTokenizerFast");
        if (text.ChatTemplate is not { } template)
            return;
        if (text.ToolTemplate is not { } tools)
        {
            json.WriteString("chat_template", template);
            return;
        }

        json.WriteStartArray("chat_template");
        foreach ((string name, string source) in ((string, string)[])[("default", template), ("tool_use", tools)])
        {
            json.WriteStartObject();
            json.WriteString("name", name);
            json.WriteString("template", source);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
