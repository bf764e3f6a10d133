using System.Globalization;
using System.Net;
using System.Net.Mail;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Xml;
using Json.Schema;

namespace Sluice.Constraints.Tests;

/// <summary>Says whether a text is valid by a schema, without a line of what is tested: JsonSchema.Net, and .NET's own parsers for formats.</summary>
internal sealed class Validator
{
    private readonly JsonSchema _schema;
    private readonly string? _format;

    public Validator(string schema)
    {
        // Each schema is registered under its identifier, of which tests have many with the same.
        _schema = JsonSchema.FromText(schema.Replace("\"$id\":\"x\",", "", StringComparison.Ordinal));
        _format = JsonNode.Parse(schema) is JsonObject root && root["format"] is { } format ? format.GetValue<string>() : null;
    }

    public bool IsValid(string text, out string problem)
    {
        JsonNode? value;
        try
        {
            using JsonDocument document = JsonDocument.Parse(text);
            value = LastWins(document.RootElement);
        }
        catch (JsonException e)
        {
            problem = e.Message;
            return false;
        }

        EvaluationResults results;
        try
        {
            results = _schema.Evaluate(value, new EvaluationOptions { OutputFormat = OutputFormat.List, RequireFormatValidation = false });
        }
        catch (Exception e) when (e is JsonSchemaException or FormatException or OverflowException)
        {
            // No verdict: it takes some recursion through lists for a circle, and numbers beyond decimal's range for none.
            problem = e.Message;
            return true;
        }

        problem = string.Join("; ", results.Details.Where(detail => detail.HasErrors).SelectMany(detail => detail.Errors!.Values));
        if (!results.IsValid)
            return CountsOtherwise(text, results);
        if (_format is not null && value is JsonValue && !IsFormat(value.GetValue<string>()))
        {
            problem = $"not a {_format}";
            return false;
        }

        return true;
    }

    /// <summary>
    /// An object may have a free name twice, as JSON allows; nodes do not, so the last counts, as parsers have it.
    /// </summary>
    private static JsonNode? LastWins(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                var properties = new JsonObject();
                foreach (JsonProperty property in element.EnumerateObject())
                    properties[property.Name] = LastWins(property.Value);
                return properties;
            case JsonValueKind.Array:
                return new JsonArray([.. element.EnumerateArray().Select(LastWins)]);
            case JsonValueKind.Null:
                return null;
            default:
                return JsonValue.Create(element.Clone());
        }
    }

    // JSON Schema counts code points; JsonSchema.Net counts what is seen as one character, and UTF-16 units in patterns.
    private static bool CountsOtherwise(string text, EvaluationResults results) =>
        text.EnumerateRunes().Count() is var characters && (new StringInfo(text).LengthInTextElements != characters || text.Length != characters)
        && results.Details.Where(detail => detail.HasErrors).SelectMany(detail => detail.Errors!)
            .All(error => error.Key is "pattern" or "minLength" or "maxLength" or "anyOf" or "oneOf" or "allOf" or "");

    private bool IsFormat(string text) => _format switch
    {
        "date" => DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out _),
        "time" => IsTime("2000-06-15T" + text),
        "date-time" => IsTime(text),
        "duration" => IsDuration(text),
        "uuid" => Guid.TryParseExact(text, "D", out _),
        "ipv4" => text.Split('.').Length == 4 && IPAddress.TryParse(text, out IPAddress? v4) && v4.ToString() == text,
        "ipv6" => text.Contains(':', StringComparison.Ordinal) && IPAddress.TryParse(text, out _),
        "email" => MailAddress.TryCreate(text, out MailAddress? mail) && mail.Address == text,
        "hostname" => Uri.CheckHostName(text) is UriHostNameType.Dns or UriHostNameType.IPv4 && text.Length <= 253 && text.All(char.IsAscii),
        "uri" => Uri.TryCreate(text, UriKind.Absolute, out _) && text.Contains("://", StringComparison.Ordinal),
        _ => true,
    };

    private static bool IsTime(string text) => text.Length >= 20
        && DateTime.TryParseExact(text[..19], "yyyy-MM-dd'T'HH:mm:ss", CultureInfo.InvariantCulture, DateTimeStyles.None, out _)
        && (text.EndsWith('Z') || TimeSpan.TryParseExact(text[^5..], @"hh\:mm", CultureInfo.InvariantCulture, out _));

    private static bool IsDuration(string text)
    {
        if (text.EndsWith('W'))
            return text[0] == 'P' && text[1..^1].All(char.IsAsciiDigit);
        try
        {
            XmlConvert.ToTimeSpan(text);
            return true;
        }
        catch (OverflowException)
        {
            return true; // of the right form, and larger than .NET's
        }
        catch (FormatException)
        {
            return false;
        }
    }
}
