using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Sluice.Text.Output;

/// <summary>JSON strings, written and read. Text beyond ASCII stays as it is.</summary>
internal static class JsonText
{
    /// <summary>Appends a character of a JSON string.</summary>
    public static void AppendEscaped(StringBuilder json, char c)
    {
        switch (c)
        {
            case '"' or '\\':
                json.Append('\\').Append(c);
                break;
            case '\n':
                json.Append("\\n");
                break;
            case '\r':
                json.Append("\\r");
                break;
            case '\t':
                json.Append("\\t");
                break;
            case < ' ':
                json.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
                break;
            default:
                json.Append(c);
                break;
        }
    }

    /// <summary>Appends a JSON string, quotes and all.</summary>
    public static void AppendString(StringBuilder json, ReadOnlySpan<char> text)
    {
        json.Append('"');
        foreach (char c in text)
            AppendEscaped(json, c);
        json.Append('"');
    }

    /// <summary>The text of a JSON string given with its quotes; null if it has none, such as half a surrogate pair.</summary>
    public static string? Decode(string quoted)
    {
        try
        {
            using var document = JsonDocument.Parse(quoted);
            return document.RootElement.GetString();
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or ArgumentException)
        {
            return null;
        }
    }
}
