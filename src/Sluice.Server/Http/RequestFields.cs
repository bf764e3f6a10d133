using System.Text.Json;
using Sluice.Core;

namespace Sluice.Server.Http;

/// <summary>
/// The fields of a JSON object in a request, read strictly: a field of the wrong type is an error that names it by its path, null
/// counts as absent, a field nobody asks for is ignored. Messages describe what was found and never repeat a string, which may be a
/// prompt.
/// </summary>
internal readonly struct RequestFields
{
    private readonly JsonElement _object;
    private readonly string _path;

    private RequestFields(JsonElement element, string path)
    {
        _object = element;
        _path = path;
    }

    /// <summary>The fields of the body itself.</summary>
    public static RequestFields Of(JsonElement body) => Of(body, "");

    /// <summary>The fields of an object inside the body, at <paramref name="path"/>.</summary>
    public static RequestFields Of(JsonElement element, string path) => element.ValueKind == JsonValueKind.Object
        ? new RequestFields(element, path)
        : throw Mismatch(path, "an object", element);

    /// <summary>Path of the object itself; empty for the body.</summary>
    public string Path => _path;

    /// <summary>Path of a field, as errors name it.</summary>
    public string PathOf(string name) => _path.Length == 0 ? name : $"{_path}.{name}";

    /// <summary>Finds a field that is present and not null.</summary>
    public bool TryGet(string name, out JsonElement value)
    {
        try
        {
            return _object.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;
        }
        catch (InvalidOperationException e)
        {
            // The search compares with every name, and one of them has half a surrogate pair.
            throw new RequestException($"{(_path.Length == 0 ? "the body" : _path)} has a name that is not valid Unicode text", _path.Length == 0 ? null : _path, inner: e);
        }
    }

    /// <summary>A string, or null.</summary>
    public string? String(string name) => TryGet(name, out JsonElement value) ? Text(value, PathOf(name)) : null;

    /// <summary>A boolean, or null.</summary>
    public bool? Boolean(string name)
    {
        if (!TryGet(name, out JsonElement value))
            return null;
        return value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Mismatch(PathOf(name), "a boolean", value);
    }

    /// <summary>A number, or null.</summary>
    public float? Number(string name) => TryGet(name, out JsonElement value) ? Number(value, PathOf(name)) : null;

    /// <summary>A whole number within limits, or null.</summary>
    public int? Integer(string name, int low, int high) => (int?)Integer(name, (long)low, high);

    /// <summary>A whole number within limits, or null.</summary>
    public long? Integer(string name, long low = long.MinValue, long high = long.MaxValue) =>
        TryGet(name, out JsonElement value) ? Integer(value, PathOf(name), low, high) : null;

    /// <summary>An array of at most <paramref name="most"/> items, or null.</summary>
    public JsonElement? Array(string name, int most)
    {
        if (!TryGet(name, out JsonElement value))
            return null;
        if (value.ValueKind != JsonValueKind.Array)
            throw Mismatch(PathOf(name), "an array", value);
        int length = value.GetArrayLength();
        return length <= most ? value : throw new RequestException($"{PathOf(name)} has {length} items; at most {most} are possible", PathOf(name));
    }

    /// <summary>An object, or null.</summary>
    public RequestFields? Object(string name) => TryGet(name, out JsonElement value) ? Of(value, PathOf(name)) : null;

    /// <summary>A string that must be there.</summary>
    public string RequiredString(string name) => String(name) ?? throw Missing(name);

    /// <summary>The error for a field that must be there.</summary>
    public RequestException Missing(string name) => new($"{PathOf(name)} is required", PathOf(name), "missing_required_parameter");

    /// <summary>A string's characters.</summary>
    public static string Text(JsonElement value, string path)
    {
        if (value.ValueKind != JsonValueKind.String)
            throw Mismatch(path, "a string", value);
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            // An escaped surrogate without its partner: JSON allows it, Unicode does not.
            throw new RequestException($"{path} is not valid Unicode text", path, inner: e);
        }
    }

    /// <summary>A number's value.</summary>
    public static float Number(JsonElement value, string path) => value.ValueKind == JsonValueKind.Number
        ? (float)value.GetDouble()
        : throw Mismatch(path, "a number", value);

    /// <summary>A whole number's value, within limits.</summary>
    public static long Integer(JsonElement value, string path, long low, long high)
    {
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out long number))
            throw Mismatch(path, "an integer", value);
        if (number < low)
            throw new RequestException($"{path} must be at least {low}, found {number}", path);
        return number <= high ? number : throw new RequestException($"{path} must be at most {high}, found {number}", path);
    }

    /// <summary>The error for a value of the wrong type.</summary>
    public static RequestException Mismatch(string path, string expected, JsonElement found) =>
        new($"{(path.Length == 0 ? "the body" : path)}: expected {expected}, found {Describe(found)}", path.Length == 0 ? null : path, "invalid_type");

    private static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => value.GetRawText() is { Length: <= 32 } number ? number : "a very long number",
        JsonValueKind.Null => "null",
        _ => "a boolean",
    };
}
