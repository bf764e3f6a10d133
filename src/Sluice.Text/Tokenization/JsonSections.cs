using System.Text.Json;
using Sluice.Core;

namespace Sluice.Text.Tokenization;

/// <summary>
/// Where the parts of a large JSON object lie, found in one pass without keeping them: top-level members by name, and those of one
/// nested object as <c>outer.inner</c>. Each part is then read in the way that suits it.
/// </summary>
internal sealed class JsonSections
{
    // A document takes up to six times its text. Every section but the model's two long ones is far smaller than this.
    private const int MaxDocumentBytes = 8 << 20;

    private readonly Dictionary<string, ReadOnlyMemory<byte>> _sections = new(StringComparer.Ordinal);
    private readonly int _maxDepth;

    /// <summary>Indexes the members; checks the whole text's syntax and depth.</summary>
    public JsonSections(ReadOnlyMemory<byte> json, int maxDepth, string descendInto)
    {
        _maxDepth = maxDepth;
        Utf8JsonReader reader = Reader(json.Span);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new TokenizerException("tokenizer.json: expected an object");

        IndexMembers(ref reader, json, prefix: "", descendInto);
        if (reader.Read())
            throw new TokenizerException("tokenizer.json: expected one object, found more behind it");
    }

    /// <summary>Whether a section is absent or null.</summary>
    public bool IsNull(string name) => !_sections.TryGetValue(name, out ReadOnlyMemory<byte> json) || json.Span.SequenceEqual("null"u8);

    /// <summary>The bytes a section takes; it must not be <see cref="IsNull"/>.</summary>
    public int LengthOf(string name) => _sections[name].Length;

    /// <summary>Reads a section into a document; null when it is absent or null.</summary>
    /// <exception cref="TokenizerException">The section is too large to be what it should be.</exception>
    public JsonDocument? Parse(string name, JsonDocumentOptions options)
    {
        if (IsNull(name))
            return null;
        return LengthOf(name) <= MaxDocumentBytes
            ? JsonDocument.Parse(_sections[name], options)
            : throw TokenizerErrors.At(name, $"expected at most {MaxDocumentBytes} bytes, found {LengthOf(name)}");
    }

    /// <summary>Reads a section piece by piece; it must not be <see cref="IsNull"/>.</summary>
    public Utf8JsonReader Open(string name) => Reader(_sections[name].Span);

    private Utf8JsonReader Reader(ReadOnlySpan<byte> json) => new(json, new JsonReaderOptions { MaxDepth = _maxDepth });

    private void IndexMembers(ref Utf8JsonReader reader, ReadOnlyMemory<byte> json, string prefix, string? descendInto)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = prefix + reader.GetString();
            reader.Read();
            int start = (int)reader.TokenStartIndex;
            if (name == descendInto && reader.TokenType == JsonTokenType.StartObject)
                IndexMembers(ref reader, json, name + ".", descendInto: null);
            else
                reader.Skip();

            if (!_sections.TryAdd(name, json[start..(int)reader.BytesConsumed]))
                throw TokenizerErrors.At(TokenizerErrors.Quote(name), "is there twice");
        }
    }
}
