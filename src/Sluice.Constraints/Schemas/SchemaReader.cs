using System.Text.Json;
using Sluice.Constraints.Json;
using Sluice.Core;

namespace Sluice.Constraints.Schemas;

/// <summary>
/// Reads a JSON Schema (2020-12, and the older spellings that mean the same). A keyword that is not enforced is an error that names it and
/// its place; only annotations, which say nothing of the value, are passed over.
/// </summary>
internal sealed class SchemaReader
{
    private readonly CompileBudget _budget;
    private readonly bool _closed;
    private readonly Dictionary<string, Schema> _byPath = new(StringComparer.Ordinal);
    private readonly List<(Schema Schema, string Reference)> _references = [];
    private readonly List<(Schema Schema, IReadOnlyList<Schema> Branches)> _exclusive = [];

    private SchemaReader(CompileBudget budget, bool closed)
    {
        _budget = budget;
        _closed = closed;
    }

    /// <summary>Reads a schema.</summary>
    /// <param name="json">Its text.</param>
    /// <param name="closed">Whether an object that declares properties and does not speak of others has no others.</param>
    /// <param name="budget">Limits its size.</param>
    public static Schema Read(string json, bool closed, CompileBudget budget)
    {
        budget.CheckText(json, "a schema");
        try
        {
            // Each level of a schema is up to three of JSON: properties, a name, the schema.
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 3 * budget.Limits.Depth });
            var reader = new SchemaReader(budget, closed);
            reader.RequireUnicode(document.RootElement);
            Schema root = reader.ReadSchema(document.RootElement.Clone(), "#", 0);
            foreach ((Schema schema, string reference) in reader._references)
                schema.Reference = reader.Resolve(schema, reference);
            foreach ((Schema schema, IReadOnlyList<Schema> branches) in reader._exclusive)
                reader.RequireDisjoint(schema, branches);
            return root;
        }
        catch (JsonException e)
        {
            throw budget.Invalid($"not a JSON document: {e.Message.Split('\n')[0]}");
        }
    }

    private Schema ReadSchema(JsonElement element, string path, int depth)
    {
        if (depth > _budget.Limits.Depth)
            throw _budget.TooDeep();
        _budget.ChargeNodes();
        var schema = new Schema(_byPath.Count, path);
        _byPath.Add(path, schema);
        if (element.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            schema.IsNever = element.ValueKind == JsonValueKind.False;
            return schema;
        }

        if (element.ValueKind != JsonValueKind.Object)
            throw Fail(path, $"expected a schema, an object or a boolean, found {element.ValueKind}");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (JsonProperty keyword in element.EnumerateObject())
        {
            if (!seen.Add(keyword.Name))
                throw Fail(path, $"{Short(keyword.Name)} stands twice");
            ReadKeyword(schema, keyword.Name, keyword.Value, path, depth);
        }

        if (schema.Format is not null && seen.Contains("pattern"))
            throw Unsupported(path, "pattern and format together are not supported");
        if (seen.Contains("const") && seen.Contains("enum"))
            throw Unsupported(path, "const and enum together are not supported");
        if (_closed && schema.Properties.Count > 0 && !seen.Contains("additionalProperties"))
            schema.OtherProperties = Never;
        Check(schema);
        return schema;
    }

    private static Schema Never { get; } = new(-1, "#") { IsNever = true };

    private void ReadKeyword(Schema schema, string name, JsonElement value, string path, int depth)
    {
        string at = $"{path}/{Escape(name)}";
        switch (name)
        {
            case "type":
                schema.Types = ReadTypes(value, at);
                break;
            case "enum":
                schema.Values = ReadValues(value, at);
                break;
            case "const":
                schema.Values = [value];
                break;
            case "$ref":
                _references.Add((schema, Text(value, at)));
                break;
            case "$defs" or "definitions":
                foreach (JsonProperty definition in Members(value, at))
                    ReadSchema(definition.Value, $"{at}/{Escape(definition.Name)}", depth + 1);
                break;
            case "allOf":
                schema.AllOf = ReadSchemas(value, at, depth);
                break;
            case "anyOf":
                schema.Alternatives.Add(ReadSchemas(value, at, depth));
                break;
            case "oneOf":
                IReadOnlyList<Schema> branches = ReadSchemas(value, at, depth);
                schema.Alternatives.Add(branches);
                _exclusive.Add((schema, branches));
                break;
            case "properties":
                foreach (JsonProperty property in Members(value, at))
                {
                    if (!schema.PropertyNames.Add(property.Name))
                        throw Fail(at, $"{Short(property.Name)} stands twice");
                    schema.Properties.Add(new(property.Name, ReadSchema(property.Value, $"{at}/{Escape(property.Name)}", depth + 1)));
                }

                break;
            case "required":
                foreach (JsonElement required in Elements(value, at))
                    schema.Required.Add(Text(required, at));
                break;
            case "additionalProperties":
                schema.OtherProperties = value.ValueKind == JsonValueKind.True ? null : ReadSchema(value, at, depth + 1);
                break;
            case "items":
                if (value.ValueKind == JsonValueKind.Array)
                    throw Unsupported(at, "a list of schemas is spelled prefixItems");
                schema.Items = value.ValueKind == JsonValueKind.True ? null : ReadSchema(value, at, depth + 1);
                break;
            case "prefixItems":
                schema.PrefixItems = ReadSchemas(value, at, depth);
                break;
            case "minItems":
                schema.MinItems = Count(value, at);
                break;
            case "maxItems":
                schema.MaxItems = Count(value, at);
                break;
            case "minLength":
                schema.MinLength = Count(value, at);
                break;
            case "maxLength":
                schema.MaxLength = Count(value, at);
                break;
            case "pattern":
                schema.Pattern = Text(value, at);
                break;
            case "format":
                schema.Format = Text(value, at);
                if (!JsonFormats.IsKnown(schema.Format))
                    throw Unsupported(at, $"expected one of {JsonFormats.Names}, found {Short(schema.Format)}");
                break;
            case "minimum":
                schema.Lower = new Bound(Number(value, at), Inclusive: true, name);
                break;
            case "maximum":
                schema.Upper = new Bound(Number(value, at), Inclusive: true, name);
                break;
            case "exclusiveMinimum":
                schema.LowerExclusive = new Bound(Number(value, at), Inclusive: false, name);
                break;
            case "exclusiveMaximum":
                schema.UpperExclusive = new Bound(Number(value, at), Inclusive: false, name);
                break;
            case "multipleOf":
                schema.MultipleOf = Number(value, at);
                if (schema.MultipleOf.IsNegative || schema.MultipleOf.IsZero)
                    throw Fail(at, "expected a number above 0");
                break;
            case "uniqueItems" when value.ValueKind == JsonValueKind.False:
                break;
            case "$id" when path == "#":
                break;
            case "title" or "description" or "default" or "examples" or "example" or "deprecated" or "readOnly" or "writeOnly" or "$comment" or "$schema":
                break;
            default:
                throw Unsupported(path, $"the keyword {Short(name)} is not supported");
        }
    }

    private void Check(Schema schema)
    {
        if (schema.MaxItems < schema.MinItems)
            throw Fail(schema.Path, $"minItems {schema.MinItems} is above maxItems {schema.MaxItems}");
        if (schema.MaxLength < schema.MinLength)
            throw Fail(schema.Path, $"minLength {schema.MinLength} is above maxLength {schema.MaxLength}");
        if (schema.Values is not null && schema.HasConditions)
            throw Unsupported(schema.Path, "enum and const are supported with type alone");
    }

    private Schema Resolve(Schema from, string reference)
    {
        string at = $"{from.Path}/$ref";
        if (!reference.StartsWith('#'))
            throw Unsupported(at, $"expected a reference within the schema, such as #/$defs/name, found {Short(reference)}");
        return _byPath.TryGetValue(Uri.UnescapeDataString(reference), out Schema? target)
            ? target
            : throw Fail(at, $"{Short(reference)} leads to no schema");
    }

    private void RequireDisjoint(Schema schema, IReadOnlyList<Schema> branches)
    {
        for (int i = 0; i < branches.Count; i++)
        {
            for (int j = 0; j < i; j++)
            {
                _budget.Charge(16);
                if (!Disjointness.IsProvable(branches[j], branches[i], _budget, schema.Types))
                    throw Unsupported($"{schema.Path}/oneOf", $"branches {j} and {i} may both match; where that is meant, anyOf says so");
            }
        }
    }

    private JsonTypes ReadTypes(JsonElement value, string at)
    {
        if (value.ValueKind == JsonValueKind.String)
            return ReadType(value, at);
        var types = JsonTypes.None;
        foreach (JsonElement type in Elements(value, at))
            types |= ReadType(type, at);
        return types != JsonTypes.None ? types : throw Fail(at, "expected at least one type");
    }

    private JsonTypes ReadType(JsonElement value, string at) => Text(value, at) switch
    {
        "null" => JsonTypes.Null,
        "boolean" => JsonTypes.Boolean,
        "object" => JsonTypes.Object,
        "array" => JsonTypes.Array,
        "string" => JsonTypes.String,
        "integer" => JsonTypes.Integer,
        "number" => JsonTypes.Number,
        var other => throw Fail(at, $"expected a JSON type, found {Short(other)}"),
    };

    private IReadOnlyList<JsonElement> ReadValues(JsonElement value, string at)
    {
        var values = new List<JsonElement>();
        foreach (JsonElement element in Elements(value, at))
        {
            _budget.ChargeNodes();
            values.Add(element);
        }

        return values.Count > 0 ? values : throw Fail(at, "expected at least one value");
    }

    private IReadOnlyList<Schema> ReadSchemas(JsonElement value, string at, int depth)
    {
        var schemas = new List<Schema>();
        foreach (JsonElement element in Elements(value, at))
            schemas.Add(ReadSchema(element, $"{at}/{schemas.Count}", depth + 1));
        return schemas.Count > 0 ? schemas : throw Fail(at, "expected at least one schema");
    }

    private JsonElement.ArrayEnumerator Elements(JsonElement value, string at) =>
        value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : throw Fail(at, $"expected a list, found {value.ValueKind}");

    private JsonElement.ObjectEnumerator Members(JsonElement value, string at) =>
        value.ValueKind == JsonValueKind.Object ? value.EnumerateObject() : throw Fail(at, $"expected an object, found {value.ValueKind}");

    private string Text(JsonElement value, string at)
    {
        if (value.ValueKind != JsonValueKind.String)
            throw Fail(at, $"expected a string, found {value.ValueKind}");
        return value.GetString()!;
    }

    /// <summary>Escapes may spell half of a surrogate pair, which System.Text.Json tells only when a string is asked for.</summary>
    private void RequireUnicode(JsonElement element)
    {
        try
        {
            switch (element.ValueKind)
            {
                case JsonValueKind.String:
                    element.GetString();
                    break;
                case JsonValueKind.Array:
                    foreach (JsonElement item in element.EnumerateArray())
                        RequireUnicode(item);
                    break;
                case JsonValueKind.Object:
                    foreach (JsonProperty property in element.EnumerateObject())
                    {
                        _ = property.Name;
                        RequireUnicode(property.Value);
                    }

                    break;
            }
        }
        catch (InvalidOperationException)
        {
            throw _budget.Invalid("a string in the schema spells half of a surrogate pair");
        }
    }

    private int Count(JsonElement value, string at) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDecimal(out decimal number)
        && number >= 0 && number <= int.MaxValue - 1 && number == Math.Floor(number)
            ? (int)number
            : throw Fail(at, $"expected a whole number of at least 0 and below {int.MaxValue}");

    private DecimalNumber Number(JsonElement value, string at)
    {
        if (value.ValueKind != JsonValueKind.Number)
            throw Fail(at, $"expected a number, found {value.ValueKind}");
        return DecimalNumber.Parse(value.GetRawText()) ?? throw Unsupported(at, "the number has too many digits");
    }

    private static string Escape(string name) => name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);

    private static string Short(string text) => text.Length <= 60 ? text : $"{text.AsSpan(0, 60)}...";

    private RequestException Fail(string path, string problem) => _budget.Invalid($"{Short(path)}: {problem}");

    private RequestException Unsupported(string path, string problem) => _budget.Unsupported($"{Short(path)}: {problem}");
}
