using System.Text.Json;
using Sluice.Core;

namespace Sluice.Text.Output;

/// <summary>What a value of a JSON schema may be.</summary>
[Flags]
internal enum JsonTypes
{
    None = 0,
    String = 1,
    Integer = 2,
    Number = 4,
    Boolean = 8,
    Object = 16,
    Array = 32,
    Null = 64,
}

/// <summary>A tool's name and what its parameters may be, as far as its JSON schema says.</summary>
public sealed class ToolSignature
{
    private readonly Dictionary<string, JsonTypes> _parameters = new(StringComparer.Ordinal);

    /// <summary>Describes a tool.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="parameters">
    /// JSON schema of the object it takes; default when there is none. Read here and not kept. A parameter whose type it does not
    /// tell is a string where the form of calls has no types of its own.
    /// </param>
    /// <exception cref="RequestException">A string of the schema is no text: it holds half a surrogate pair.</exception>
    public ToolSignature(string name, JsonElement parameters = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        Name = name;
        try
        {
            ReadTypes(parameters);
        }
        catch (InvalidOperationException error)
        {
            throw new RequestException($"the parameters of the tool '{name}' hold a string that is no text: half a surrogate pair", "tools", inner: error);
        }
    }

    /// <summary>The tool's name.</summary>
    public string Name { get; }

    internal JsonTypes TypesOf(string parameter) => _parameters.GetValueOrDefault(parameter);

    private void ReadTypes(JsonElement schema)
    {
        if (schema.ValueKind != JsonValueKind.Object
            || !schema.TryGetProperty("properties", out JsonElement properties)
            || properties.ValueKind != JsonValueKind.Object)
        {
            return;
        }

        var types = new SchemaTypes(schema);
        foreach (JsonProperty property in properties.EnumerateObject())
            _parameters[property.Name] = types.Of(property.Value);
    }
}
