using System.Text.Json.Nodes;

namespace Sluice.Constraints.Tests;

/// <summary>Random schemas of the keywords that are supported, combined as nobody would.</summary>
internal static class SchemaMaker
{
    private static readonly string[] Names = ["a", "b", "ab", "x y", "é", "\""];

    public static JsonObject Make(Random random)
    {
        JsonObject root = Schema(random, 0);
        var definitions = new JsonObject();
        for (int i = 0; i < 3; i++)
            definitions[$"d{i}"] = Schema(random, 1);
        root["$defs"] = definitions;
        return root;
    }

    private static JsonObject Schema(Random random, int depth)
    {
        var schema = new JsonObject();
        int kind = random.Next(depth > 3 ? 6 : 12);
        switch (kind)
        {
            case 0:
                schema["type"] = random.Next(2) == 0 ? "boolean" : "null";
                break;
            case 1:
                schema["type"] = "string";
                Strings(schema, random);
                break;
            case 2 or 3:
                schema["type"] = random.Next(2) == 0 ? "integer" : "number";
                Numbers(schema, random);
                break;
            case 4:
                schema["enum"] = new JsonArray([.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => Value(random, 0))]);
                break;
            case 5:
                schema["$ref"] = $"#/$defs/d{random.Next(3)}";
                if (random.Next(4) == 0)
                    Numbers(schema, random);
                break;
            case 6 or 7:
                schema["type"] = "object";
                Objects(schema, random, depth);
                break;
            case 8:
                schema["type"] = "array";
                Arrays(schema, random, depth);
                break;
            case 9:
                schema[random.Next(4) == 0 ? "oneOf" : "anyOf"] = Schemas(random, depth);
                if (random.Next(3) == 0)
                    schema["type"] = new JsonArray("string", "integer", "object");
                break;
            case 10:
                schema["allOf"] = Schemas(random, depth);
                break;
            default:
                // Conditions of several types at once, without a type.
                Strings(schema, random);
                Numbers(schema, random);
                if (random.Next(2) == 0)
                    Objects(schema, random, depth + 1);
                break;
        }

        return schema;
    }

    private static JsonArray Schemas(Random random, int depth) => new([.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => Schema(random, depth + 1))]);

    private static void Strings(JsonObject schema, Random random)
    {
        int min = random.Next(4);
        if (random.Next(3) == 0)
            schema["minLength"] = min;
        if (random.Next(3) == 0)
            schema["maxLength"] = min + random.Next(6);
        if (random.Next(4) == 0)
            schema["pattern"] = ((string[])["^a", "b$", "^[a-c]+$", "[0-9]{2}", "^(x|yz)*$", "^.{0,3}$", "é|\\\\\"", "^\\S+@\\S+$"])[random.Next(8)];
    }

    private static void Numbers(JsonObject schema, Random random)
    {
        decimal low = Number(random);
        if (random.Next(3) == 0)
            schema[random.Next(2) == 0 ? "minimum" : "exclusiveMinimum"] = low;
        if (random.Next(3) == 0)
            schema[random.Next(2) == 0 ? "maximum" : "exclusiveMaximum"] = low + random.Next(30);
        if (random.Next(5) == 0)
            schema["multipleOf"] = ((decimal[])[1, 2, 3, 10, 0.5m, 0.1m, 0.25m, 1.5m])[random.Next(8)];
    }

    private static decimal Number(Random random) => (random.Next(-300, 300) / (decimal)((int[])[1, 1, 10, 100])[random.Next(4)]) + (random.Next(10) == 0 ? 1_000_000 : 0);

    private static void Objects(JsonObject schema, Random random, int depth)
    {
        var properties = new JsonObject();
        for (int i = random.Next(4); i > 0; i--)
            properties[Names[random.Next(Names.Length)]] = Schema(random, depth + 1);
        if (properties.Count > 0)
            schema["properties"] = properties;
        if (random.Next(2) == 0)
            schema["required"] = new JsonArray([.. Names.Where(_ => random.Next(4) == 0).Select(name => JsonValue.Create(name))]);
        switch (random.Next(4))
        {
            case 0 or 1:
                schema["additionalProperties"] = false;
                break;
            case 2:
                schema["additionalProperties"] = Schema(random, depth + 2);
                break;
        }
    }

    private static void Arrays(JsonObject schema, Random random, int depth)
    {
        int min = random.Next(3);
        if (random.Next(2) == 0)
            schema["items"] = random.Next(5) == 0 ? false : Schema(random, depth + 1);
        if (random.Next(3) == 0)
            schema["prefixItems"] = Schemas(random, depth);
        if (random.Next(3) == 0)
            schema["minItems"] = min;
        if (random.Next(3) == 0)
            schema["maxItems"] = min + random.Next(3);
    }

    private static JsonNode? Value(Random random, int depth) => random.Next(depth > 1 ? 5 : 7) switch
    {
        0 => null,
        1 => random.Next(2) == 0,
        2 => random.Next(-5, 100),
        3 => Number(random),
        4 => Names[random.Next(Names.Length)],
        5 => new JsonArray([.. Enumerable.Range(0, random.Next(3)).Select(_ => Value(random, depth + 1))]),
        _ => new JsonObject { [Names[random.Next(Names.Length)]] = Value(random, depth + 1) },
    };
}
