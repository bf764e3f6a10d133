using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;

namespace Sluice.Server.Http;

/// <summary>
/// Copies JSON from a request so that it outlives it. Every string and name is checked to be Unicode on the way, so that
/// nobody who reads the copy need expect otherwise. Recursion is bounded by <see cref="JsonBody.MaxDepth"/>.
/// </summary>
internal static class JsonCopy
{
    /// <summary>Copies a value at <paramref name="path"/> of the body.</summary>
    public static JsonNode? Of(JsonElement value, string path)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                var copy = new JsonObject();
                foreach (JsonProperty property in value.EnumerateObject())
                    copy[Name(property, path)] = Of(property.Value, path);
                return copy;
            case JsonValueKind.Array:
                var items = new JsonArray();
                foreach (JsonElement item in value.EnumerateArray())
                    items.Add(Of(item, path));
                return items;
            case JsonValueKind.String:
                return JsonValue.Create(RequestFields.Text(value, path));
            case JsonValueKind.Null:
                return null;
            default:
                return JsonValue.Create(value.Clone());
        }
    }

    /// <summary>A property's name.</summary>
    public static string Name(JsonProperty property, string path)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException e)
        {
            throw new RequestException($"{path} has a name that is not valid Unicode text", path, inner: e);
        }
    }
}
