using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;
using Sluice.Core;

namespace Sluice.Checkpoints.Configuration;

/// <summary>
/// The fields of a JSON object from a checkpoint, read with their ranges. A field that is null counts as absent, as it does
/// for transformers. Every error names the field, what was expected and what was found.
/// </summary>
internal readonly struct JsonFields
{
    /// <summary>Deeper nesting than any real configuration has.</summary>
    internal const int MaxDepth = 32;

    private readonly JsonElement _element;
    private readonly string _path;

    private JsonFields(JsonElement element, string path)
    {
        _element = element;
        _path = path;
    }

    /// <summary>Parses a whole file; the caller disposes the document after the last field is read.</summary>
    internal static JsonFields Parse(ReadOnlyMemory<byte> json, string file, out JsonDocument document)
    {
        // A byte-order mark is not JSON, but editors leave it.
        if (json.Span.StartsWith("\uFEFF"u8))
            json = json[3..];
        if (!Utf8.IsValid(json.Span))
            throw new ConfigurationException($"{file} is not UTF-8");

        document = ParseDocument(json, file);
        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return new JsonFields(document.RootElement, file + ": ");

        document.Dispose();
        throw new ConfigurationException($"{file} is not a JSON object");
    }

    internal bool Has(string name) => Find(name) is not null;

    internal string? String(string name)
    {
        if (Find(name) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.String)
            throw Wrong(name, "a string", value);
        return Text(name, value);
    }

    internal bool? Boolean(string name) => Find(name) is not { } value ? null : value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong(name, "true or false", value),
    };

    internal int? Integer(string name, int minimum, int maximum) =>
        Find(name) is { } value ? Integer(name, value, minimum, maximum) : null;

    internal int RequiredInteger(string name, int minimum, int maximum) => Integer(name, minimum, maximum) ?? throw Missing(name);

    /// <summary>A finite number.</summary>
    internal double? Number(string name)
    {
        if (Find(name) is not { } value)
            return null;
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && double.IsFinite(number))
            return number;
        throw Wrong(name, "a finite number", value);
    }

    internal JsonFields? Object(string name)
    {
        if (Find(name) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Object)
            throw Wrong(name, "an object", value);
        return new JsonFields(value, $"{_path}{name}.");
    }

    /// <summary>An array of whole numbers, or one number standing for an array of one; empty when absent.</summary>
    internal int[] Integers(string name, int minimum, int maximum, int limit)
    {
        if (Find(name) is not { } value)
            return [];
        if (value.ValueKind == JsonValueKind.Number)
            return [Integer(name, value, minimum, maximum)];
        if (value.ValueKind != JsonValueKind.Array)
            throw Wrong(name, "a whole number or an array of them", value);

        int count = value.GetArrayLength();
        if (count > limit)
            throw Error(name, $"expected at most {limit} numbers, found {count}");
        int[] numbers = new int[count];
        int i = 0;
        foreach (JsonElement item in value.EnumerateArray())
            numbers[i++] = Integer(name, item, minimum, maximum);
        return numbers;
    }

    /// <summary>An array of strings, or null when absent.</summary>
    internal string[]? Strings(string name, int limit)
    {
        if (Find(name) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Array)
            throw Wrong(name, "an array of strings", value);

        int count = value.GetArrayLength();
        if (count > limit)
            throw Error(name, $"expected at most {limit} strings, found {count}");
        string[] strings = new string[count];
        int i = 0;
        foreach (JsonElement item in value.EnumerateArray())
            strings[i++] = item.ValueKind == JsonValueKind.String ? Text(name, item) : throw Wrong(name, "an array of strings", item);
        return strings;
    }

    internal ConfigurationException Missing(string name) => Error(name, "is missing");

    internal ConfigurationException Error(string name, string problem) => new($"{_path}{name}: {problem}");

    private ConfigurationException Wrong(string name, string expected, JsonElement found) =>
        Error(name, $"expected {expected}, found {Describe(found)}");

    private int Integer(string name, JsonElement value, int minimum, int maximum)
    {
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= minimum && number <= maximum)
            return number;
        throw Wrong(name, string.Create(CultureInfo.InvariantCulture, $"a whole number from {minimum} to {maximum}"), value);
    }

    private JsonElement? Find(string name) =>
        _element.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private string Text(string name, JsonElement value)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw new ConfigurationException($"{_path}{name}: the string is not valid Unicode", e);
        }
    }

    private static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        _ => Printable.Quote(value.GetRawText()),
    };

    private static JsonDocument ParseDocument(ReadOnlyMemory<byte> json, string file)
    {
        try
        {
            return JsonDocument.Parse(
                json, new JsonDocumentOptions { MaxDepth = MaxDepth, AllowDuplicateProperties = false });
        }
        catch (JsonException e)
        {
            throw new ConfigurationException(string.Create(
                CultureInfo.InvariantCulture,
                $"{file} is not valid JSON (line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1})"), e);
        }
        catch (InvalidOperationException e)
        {
            throw new ConfigurationException($"{file}: a name is not valid Unicode", e);
        }
    }
}
