using System.Text.Json.Nodes;

namespace Sluice.Constraints.Tests;

/// <summary>
/// Random values that a schema may accept, made by reading the schema alone. It guesses; whether a value is valid is for the validator to say.
/// </summary>
internal sealed class DocumentMaker(JsonNode root, Random random)
{
    private static readonly string[] Texts =
        ["", "a", "b", "ab", "abc", "abbc", "x", "zy", "az", "é", "\"", "\\", "\n\t", "中文", "c", "cab", "abab", "ab-1", "abcde-90", "12345", "celsius", "\u0001\u0002", "hello world", "a/b", "q\"\\é",
        "2024-02-29", "2023-12-31", "23:59:59Z", "00:00:00.5+01:00", "2024-02-29T12:00:00Z", "P1DT2H", "P3W", "123e4567-e89b-12d3-a456-426614174000", "10.0.255.1", "::1", "2001:db8::ff00:42:8329",
        "a.b@example.org", "example.org", "https://example.org/a?b=c#d"];

    public JsonNode? Make(JsonNode? schema, int depth = 0)
    {
        if (schema is not JsonObject keywords)
            return Any(depth);
        if (depth > 20)
            return null; // more often than not no longer valid, and then passed over
        if (keywords["const"] is { } constant)
            return constant.DeepClone();
        if (keywords["enum"] is JsonArray values)
            return values[random.Next(values.Count)]?.DeepClone();
        if (keywords["$ref"] is { } reference && Merge(Resolve(reference.GetValue<string>()), keywords) is { } target)
            return Make(target, depth);
        foreach (string choice in (string[])["anyOf", "oneOf"])
        {
            if (keywords[choice] is JsonArray branches)
            {
                JsonNode?[] leaves = [.. branches.Where(branch => branch is JsonObject { } leaf && !leaf.ContainsKey("$ref") && !leaf.ContainsKey("properties"))];
                JsonNode? chosen = depth > 4 && leaves.Length > 0 ? leaves[random.Next(leaves.Length)] : branches[random.Next(branches.Count)];
                return Make(Merge(chosen, keywords, choice), depth);
            }
        }

        if (keywords["allOf"] is JsonArray parts)
            return Make(parts.Aggregate<JsonNode?, JsonNode?>(Merge(null, keywords, "allOf"), (all, part) => Merge(all, part as JsonObject ?? [])), depth);
        string[] types = keywords["type"] switch
        {
            JsonArray several => [.. several.Select(type => type!.GetValue<string>())],
            { } one => [one.GetValue<string>()],
            null => ["null", "boolean", "string", "integer", "number", "array", "object"],
        };
        return types[random.Next(types.Length)] switch
        {
            "null" => null,
            "boolean" => random.Next(2) == 0,
            "string" => Text(keywords),
            "integer" => Number(keywords, 0),
            "number" => Number(keywords, random.Next(4)),
            "array" => Array(keywords, depth),
            _ => Object(keywords, depth),
        };
    }

    private JsonObject Object(JsonObject schema, int depth)
    {
        var value = new JsonObject();
        string[] required = schema["required"] is JsonArray names ? [.. names.Select(name => name!.GetValue<string>())] : [];
        if (schema["properties"] is JsonObject properties)
        {
            foreach ((string name, JsonNode? property) in properties)
            {
                if (required.Contains(name) || (depth < 4 && random.Next(2) == 0))
                    value[name] = Make(property, depth + 1);
            }
        }

        foreach (string name in required.Where(name => !value.ContainsKey(name)))
            value[name] = Make(schema["additionalProperties"], depth + 1);
        if (random.Next(3) == 0 && depth < 4 && !(schema["additionalProperties"] is JsonValue other && !other.GetValue<bool>()))
        {
            string name = $"other{Texts[random.Next(20)]}";
            value[name] = Make(schema["additionalProperties"], depth + 1);
        }

        return value;
    }

    private JsonArray Array(JsonObject schema, int depth)
    {
        int min = schema["minItems"]?.GetValue<int>() ?? 0, max = Math.Min(schema["maxItems"]?.GetValue<int>() ?? 5, min + 4);
        var listed = schema["prefixItems"] as JsonArray ?? [];
        var value = new JsonArray();
        for (int i = depth > 4 ? min : random.Next(min, max + 1); i > 0; i--)
            value.Add(Make(value.Count < listed.Count ? listed[value.Count] : schema["items"], depth + 1));
        return value;
    }

    private string Text(JsonObject schema)
    {
        int min = schema["minLength"]?.GetValue<int>() ?? 0;
        int max = Math.Min(schema["maxLength"]?.GetValue<int>() ?? int.MaxValue, min + 10);
        string text = Texts[random.Next(Texts.Length)];
        while (text.Length < min)
            text += Texts[random.Next(1, Texts.Length)];
        return schema["pattern"] is null && schema["format"] is null && text.Length > max ? text[..max] : text;
    }

    private JsonValue Number(JsonObject schema, int places)
    {
        decimal near = new[] { "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum" }
            .Where(name => schema[name] is not null).Select(name => (decimal)schema[name]!.GetValue<double>()).Append(random.Next(-1000, 1000)).OrderBy(_ => random.Next()).First();
        decimal step = (decimal)(schema["multipleOf"]?.GetValue<double>() ?? Math.Pow(10, -places));
        return JsonValue.Create(Math.Round(((near / step) is var units ? Math.Round(units) + random.Next(-2, 3) : 0) * step, 6));
    }

    private JsonNode? Any(int depth) => random.Next(depth > 3 ? 4 : 6) switch
    {
        0 => null,
        1 => random.Next(2) == 0,
        2 => random.Next(-100, 100) / 4m,
        3 => Texts[random.Next(Texts.Length)],
        4 => new JsonArray([.. Enumerable.Range(0, random.Next(3)).Select(_ => Any(depth + 1))]),
        _ => new JsonObject { [Texts[random.Next(Texts.Length)]] = Any(depth + 1) },
    };

    private JsonNode? Resolve(string reference) =>
        Uri.UnescapeDataString(reference)[1..].Split('/', StringSplitOptions.RemoveEmptyEntries).Aggregate<string, JsonNode?>(
            root, (at, name) => at![name.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal)]);

    private static JsonObject Merge(JsonNode? a, JsonObject b, string without = "$ref")
    {
        var merged = a is JsonObject first ? (JsonObject)first.DeepClone() : [];
        foreach ((string name, JsonNode? value) in b)
        {
            if (name == without)
                continue;
            if (name == "properties" && merged[name] is JsonObject known && value is JsonObject more)
            {
                foreach ((string property, JsonNode? schema) in more)
                    known[property] = known[property] is JsonObject old && schema is JsonObject added ? Merge(old, added) : schema?.DeepClone();
            }
            else if (name == "required" && merged[name] is JsonArray names)
            {
                foreach (JsonNode? required in value!.AsArray())
                    names.Add(required!.DeepClone());
            }
            else
            {
                merged[name] = value?.DeepClone();
            }
        }

        return merged;
    }
}
