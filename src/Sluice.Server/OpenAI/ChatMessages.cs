using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Server.Http;

namespace Sluice.Server.OpenAI;

/// <summary>
/// Turns the messages of a request into what chat templates read: content is always one string, a tool call's arguments are an
/// object when they are the JSON of one, and fields no template knows are left out.
/// </summary>
internal static class ChatMessages
{
    private const int MaxMessages = 10_000;
    private const int MaxToolCalls = 1024;

    /// <summary>Reads <c>messages</c>.</summary>
    public static JsonArray Read(RequestFields fields)
    {
        if (fields.Array("messages", MaxMessages) is not { } messages)
            throw fields.Missing("messages");
        if (messages.GetArrayLength() == 0)
            throw new RequestException("messages is empty: at least one message is needed", "messages");
        var list = new JsonArray();
        int index = 0;
        foreach (JsonElement message in messages.EnumerateArray())
            list.Add((JsonNode)ReadMessage(RequestFields.Of(message, $"messages[{index++}]")));
        return list;
    }

    private static JsonObject ReadMessage(RequestFields fields)
    {
        string role = fields.RequiredString("role");
        var message = new JsonObject
        {
            ["role"] = role switch
            {
                "system" or "user" or "assistant" or "tool" => role,
                "developer" => "system", // the newer name for the same thing, which templates do not know
                _ => throw new RequestException(
                    $"{fields.PathOf("role")} must be system, developer, user, assistant or tool", fields.PathOf("role")),
            },
        };
        JsonArray? calls = role == "assistant" ? ReadToolCalls(fields) : null;
        message["content"] = ReadContent(fields) ?? (role == "assistant" ? "" : throw fields.Missing("content"));
        if (calls is not null)
            message["tool_calls"] = calls;
        foreach (string name in (ReadOnlySpan<string>)["name", "tool_call_id", "reasoning_content"])
        {
            if (fields.String(name) is { } value)
                message[name] = value;
        }

        return message;
    }

    private static string? ReadContent(RequestFields fields)
    {
        if (!fields.TryGet("content", out JsonElement content))
            return null;
        string path = fields.PathOf("content");
        if (content.ValueKind == JsonValueKind.String)
            return RequestFields.Text(content, path);
        if (content.ValueKind != JsonValueKind.Array)
            throw RequestFields.Mismatch(path, "a string or an array of text parts", content);
        var text = new StringBuilder();
        int index = 0;
        foreach (JsonElement item in content.EnumerateArray())
        {
            RequestFields part = RequestFields.Of(item, $"{path}[{index++}]");
            if (part.RequiredString("type") != "text")
                throw new RequestException($"{part.PathOf("type")} must be text: the model reads nothing else", part.PathOf("type"), "unsupported_value");
            text.Append(part.RequiredString("text"));
        }

        return text.ToString();
    }

    private static JsonArray? ReadToolCalls(RequestFields fields)
    {
        if (fields.Array("tool_calls", MaxToolCalls) is not { } calls || calls.GetArrayLength() == 0)
            return null;
        var list = new JsonArray();
        int index = 0;
        foreach (JsonElement item in calls.EnumerateArray())
        {
            RequestFields call = RequestFields.Of(item, $"{fields.PathOf("tool_calls")}[{index++}]");
            RequestFields function = call.Object("function") ?? throw call.Missing("function");
            list.Add((JsonNode)new JsonObject
            {
                ["id"] = call.String("id"),
                ["type"] = "function",
                ["function"] = new JsonObject
                {
                    ["name"] = function.RequiredString("name"),
                    ["arguments"] = ReadArguments(function),
                },
            });
        }

        return list;
    }

    private static JsonNode ReadArguments(RequestFields function) =>
        ParseArguments(function.String("arguments") ?? "{}", function.PathOf("arguments"));

    /// <summary>Arguments come as JSON inside a string; templates write an object as their model was taught to.</summary>
    public static JsonNode ParseArguments(string arguments, string path)
    {
        try
        {
            using var parsed = JsonDocument.Parse(arguments, new JsonDocumentOptions { MaxDepth = JsonBody.MaxDepth });
            if (parsed.RootElement.ValueKind == JsonValueKind.Object)
                return JsonCopy.Of(parsed.RootElement, path)!;
        }
        catch (JsonException)
        {
            // What a model once wrote need not be JSON; it goes back to it as it was.
        }

        return JsonValue.Create(arguments);
    }
}
