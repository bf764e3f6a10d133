using System.Text;

namespace Sluice.Text.Output;

/// <summary>
/// Writes one parameter, a key and the plain text of its value, as a member of a JSON object. A string is written as it comes. Any
/// other value is kept until it is whole, and is a string after all if it is not what its type wants: what a model wrote is never lost.
/// </summary>
internal sealed class ParameterWriter
{
    private readonly StringBuilder _json;
    private readonly string _key;
    private readonly JsonTypes _types;
    private readonly bool _isFirst;
    private readonly StringBuilder _kept = new();
    private bool _flows;

    public ParameterWriter(StringBuilder json, string key, JsonTypes types, bool isFirst)
    {
        _json = json;
        _key = key;
        _types = types;
        _isFirst = isFirst;
        if (types is JsonTypes.String or JsonTypes.None)
            Flow();
    }

    public void Append(char c)
    {
        if (_flows)
        {
            JsonText.AppendEscaped(_json, c);
            return;
        }

        _kept.Append(c);

        // A string that may be absent can flow as soon as it is not what stands for nothing.
        if (_types == (JsonTypes.String | JsonTypes.Null) && !BeginsNull())
            Flow();
    }

    public void End()
    {
        if (_flows)
        {
            _json.Append('"');
            return;
        }

        WriteKey();
        string text = _kept.ToString();
        if (Convert(text.AsSpan().Trim()) is { } value)
            _json.Append(value);
        else
            JsonText.AppendString(_json, text);
    }

    private void Flow()
    {
        WriteKey();
        _json.Append('"');
        for (int i = 0; i < _kept.Length; i++)
            JsonText.AppendEscaped(_json, _kept[i]);
        _flows = true;
    }

    private void WriteKey()
    {
        if (!_isFirst)
            _json.Append(", ");
        JsonText.AppendString(_json, _key);
        _json.Append(": ");
    }

    private bool BeginsNull()
    {
        string text = _kept.ToString();
        return "null".StartsWith(text, StringComparison.Ordinal) || "None".StartsWith(text, StringComparison.Ordinal);
    }

    // The value as JSON of one of the types other than string, or null. Templates show true as True and null as None, as Python does.
    private string? Convert(ReadOnlySpan<char> text)
    {
        switch (text)
        {
            case "":
                return null;
            case "null" or "None":
                return Has(JsonTypes.Null) || !Has(JsonTypes.String) ? "null" : null;
            case "true" or "True":
                return Has(JsonTypes.Boolean) ? "true" : null;
            case "false" or "False":
                return Has(JsonTypes.Boolean) ? "false" : null;
        }

        return text[0] switch
        {
            '{' => Has(JsonTypes.Object) ? JsonScanner.Normalise(text) : null,
            '[' => Has(JsonTypes.Array) ? JsonScanner.Normalise(text) : null,
            '-' or (>= '0' and <= '9') => Has(JsonTypes.Number) ? JsonScanner.Normalise(text) : Has(JsonTypes.Integer) ? Integer(text) : null,
            _ => null,
        };
    }

    // 3, and 3.0, which models write for it.
    private static string? Integer(ReadOnlySpan<char> text)
    {
        if (JsonScanner.Normalise(text) is not { } number || number.AsSpan().ContainsAny('e', 'E'))
            return null;
        int point = number.IndexOf('.', StringComparison.Ordinal);
        if (point < 0)
            return number;
        return number.AsSpan(point + 1).ContainsAnyExcept('0') ? null : number[..point];
    }

    private bool Has(JsonTypes type) => (_types & type) != JsonTypes.None;
}
