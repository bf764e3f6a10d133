using System.Text.Json;

namespace Sluice.Text.Output;

/// <summary>
/// Tells what values a JSON schema allows, as far as <c>type</c>, <c>enum</c>, <c>const</c>, alternatives and references inside the
/// schema say it. Schemas come from callers: depth and work are bounded, and what is beyond the bounds is not known.
/// </summary>
internal sealed class SchemaTypes
{
    private const int MaxDepth = 16;
    private const int MaxSteps = 10_000;

    private readonly JsonElement _root;
    private int _steps;

    public SchemaTypes(JsonElement root) => _root = root;

    public JsonTypes Of(JsonElement schema) => Of(schema, 0);

    private JsonTypes Of(JsonElement schema, int depth)
    {
        if (schema.ValueKind != JsonValueKind.Object || depth > MaxDepth || ++_steps > MaxSteps)
            return JsonTypes.None;
        if (schema.TryGetProperty("type", out JsonElement type))
            return Named(type);
        if (schema.TryGetProperty("const", out JsonElement value))
            return OfValue(value);
        if (schema.TryGetProperty("enum", out JsonElement values))
            return Union(values, OfValue);
        if (schema.TryGetProperty("$ref", out JsonElement reference))
            return Resolve(reference) is { } target ? Of(target, depth + 1) : JsonTypes.None;
        foreach (string alternatives in (ReadOnlySpan<string>)["anyOf", "oneOf", "allOf"])
        {
            if (schema.TryGetProperty(alternatives, out JsonElement schemas))
                return Union(schemas, s => Of(s, depth + 1));
        }

        return JsonTypes.None;
    }

    private JsonTypes Union(JsonElement elements, Func<JsonElement, JsonTypes> typesOf)
    {
        var types = JsonTypes.None;
        if (elements.ValueKind != JsonValueKind.Array)
            return types;
        foreach (JsonElement element in elements.EnumerateArray())
        {
            if (++_steps > MaxSteps)
                return JsonTypes.None;
            types |= typesOf(element);
        }

        return types;
    }

    private JsonTypes Named(JsonElement type) => type.ValueKind == JsonValueKind.Array ? Union(type, OfName) : OfName(type);

    private static JsonTypes OfName(JsonElement name) => name.ValueKind != JsonValueKind.String ? JsonTypes.None : name.GetString() switch
    {
        "string" => JsonTypes.String,
        "integer" => JsonTypes.Integer,
        "number" => JsonTypes.Number,
        "boolean" => JsonTypes.Boolean,
        "object" => JsonTypes.Object,
        "array" => JsonTypes.Array,
        "null" => JsonTypes.Null,
        _ => JsonTypes.None,
    };

    private static JsonTypes OfValue(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => JsonTypes.String,
        JsonValueKind.Number => JsonTypes.Number,
        JsonValueKind.True or JsonValueKind.False => JsonTypes.Boolean,
        JsonValueKind.Object => JsonTypes.Object,
        JsonValueKind.Array => JsonTypes.Array,
        JsonValueKind.Null => JsonTypes.Null,
        _ => JsonTypes.None,
    };

    // "#/$defs/Place": keys from the root, of objects only.
    private JsonElement? Resolve(JsonElement reference)
    {
        if (reference.ValueKind != JsonValueKind.String)
            return null;
        string path = reference.GetString()!;
        if (path is not ['#', '/', ..] || path.Length > 1024)
            return null;
        JsonElement target = _root;
        foreach (string key in path[2..].Split('/'))
        {
            string name = key.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
            if (target.ValueKind != JsonValueKind.Object || !target.TryGetProperty(name, out target))
                return null;
        }

        return target;
    }
}
