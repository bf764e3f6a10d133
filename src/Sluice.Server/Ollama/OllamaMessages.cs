using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Server.Chat;
using Sluice.Server.Http;

namespace Sluice.Server.Ollama;

/// <summary>Turns this API's messages and tools into what chat templates read.</summary>
internal static class OllamaMessages
{
    private const int MaxMessages = 10_000;
    private const int MaxCalls = 1024;

    /// <summary>Reads <c>messages</c>; none if there are none.</summary>
    public static JsonArray Read(RequestFields fields)
    {
        var messages = new JsonArray();
        foreach (JsonElement item in fields.Array("messages", MaxMessages)?.EnumerateArray() ?? default)
            messages.Add((JsonNode)ReadMessage(RequestFields.Of(item, $"messages[{messages.Count}]")));
        return messages;
    }

    /// <summary>Reads <c>tools</c>, whose shape is OpenAI's; the model decides whether to call one.</summary>
    public static ToolSet ReadTools(RequestFields fields)
    {
        var functions = new List<ToolFunction>();
        foreach (JsonElement tool in fields.Array("tools", ToolSet.MaxFunctions)?.EnumerateArray() ?? default)
        {
            string path = $"tools[{functions.Count}]";
            RequestFields entry = RequestFields.Of(tool, path);
            RequestFields function = entry.Object("function") ?? throw entry.Missing("function");
            string name = ToolSet.CheckedName(function.RequiredString("name"), function.PathOf("name"));
            if (function.TryGet("parameters", out JsonElement parameters))
                _ = RequestFields.Of(parameters, function.PathOf("parameters"));
            functions.Add(new ToolFunction(name, (JsonObject)JsonCopy.Of(tool, path)!));
        }

        return new ToolSet { Functions = functions };
    }

    /// <summary>Refuses pictures.</summary>
    public static void RefuseImages(RequestFields fields)
    {
        if (fields.Array("images", int.MaxValue) is { } images && images.GetArrayLength() > 0)
            throw new RequestException($"{fields.PathOf("images")} is not supported: the model reads text alone", fields.PathOf("images"), "unsupported_value");
    }

    private static JsonObject ReadMessage(RequestFields fields)
    {
        string role = fields.RequiredString("role");
        if (role is not ("system" or "user" or "assistant" or "tool"))
            throw new RequestException($"{fields.PathOf("role")} must be system, user, assistant or tool", fields.PathOf("role"));
        RefuseImages(fields);
        var message = new JsonObject { ["role"] = role, ["content"] = fields.String("content") ?? "" };
        if (fields.String("thinking") is { } thinking && role == "assistant")
            message["reasoning_content"] = thinking;
        if (fields.String("tool_name") is { } name)
            message["name"] = name;
        if (fields.String("tool_call_id") is { } id)
            message["tool_call_id"] = id;
        if (role == "assistant" && fields.Array("tool_calls", MaxCalls) is { } calls && calls.GetArrayLength() > 0)
            message["tool_calls"] = ReadCalls(calls, fields.PathOf("tool_calls"));
        return message;
    }

    private static JsonArray ReadCalls(JsonElement calls, string path)
    {
        var list = new JsonArray();
        foreach (JsonElement item in calls.EnumerateArray())
        {
            RequestFields call = RequestFields.Of(item, $"{path}[{list.Count}]");
            RequestFields function = call.Object("function") ?? throw call.Missing("function");
            JsonNode arguments = function.TryGet("arguments", out JsonElement value)
                ? JsonCopy.Of(value, function.PathOf("arguments"))!
                : new JsonObject();
            list.Add((JsonNode)new JsonObject
            {
                ["id"] = call.String("id"),
                ["type"] = "function",
                ["function"] = new JsonObject { ["name"] = function.RequiredString("name"), ["arguments"] = arguments },
            });
        }

        return list;
    }
}
