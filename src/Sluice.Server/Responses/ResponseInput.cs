using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Server.Http;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Responses;

/// <summary>
/// Turns <c>input</c> into what chat templates read. What an assistant did in a row (thinking, text, calls) is several items here and
/// one message there.
/// </summary>
internal sealed class ResponseInput
{
    private const int MaxItems = 10_000;

    private Turn? _assistant;

    private ResponseInput()
    {
    }

    /// <summary>The messages.</summary>
    public JsonArray Messages { get; } = [];

    /// <summary>The items as they are kept: each with an id.</summary>
    public JsonArray Items { get; } = [];

    /// <summary>Reads a request's <c>input</c>.</summary>
    public static ResponseInput Read(RequestFields fields)
    {
        if (!fields.TryGet("input", out JsonElement input))
            throw fields.Missing("input");
        var result = new ResponseInput();
        if (input.ValueKind == JsonValueKind.String)
        {
            result.AddText(RequestFields.Text(input, "input"));
        }
        else
        {
            if (input.ValueKind != JsonValueKind.Array)
                throw RequestFields.Mismatch("input", "a string or an array of items", input);
            if (fields.Array("input", MaxItems)!.Value.GetArrayLength() == 0)
                throw new RequestException("input is empty: at least one item is needed", "input");
            foreach (JsonElement item in input.EnumerateArray())
                result.AddItem(item, $"input[{result.Items.Count}]");
        }

        result.EndAssistant();
        return result;
    }

    private void AddText(string text)
    {
        Messages.Add((JsonNode)Message("user", text));
        Items.Add((JsonNode)new JsonObject
        {
            ["id"] = ResponseIds.Message(),
            ["type"] = "message",
            ["role"] = "user",
            ["status"] = "completed",
            ["content"] = new JsonArray(new JsonObject { ["type"] = "input_text", ["text"] = text }),
        });
    }

    private void AddItem(JsonElement element, string path)
    {
        RequestFields item = RequestFields.Of(element, path);
        string type = item.String("type") ?? "message";
        switch (type)
        {
            case "message":
                AddMessage(item);
                break;
            case "reasoning":
                Assistant().Reasoning.Append(ReadReasoning(item));
                break;
            case "function_call":
                Assistant().Calls.Add((JsonNode)new JsonObject
                {
                    ["id"] = item.RequiredString("call_id"),
                    ["type"] = "function",
                    ["function"] = new JsonObject
                    {
                        ["name"] = item.RequiredString("name"),
                        ["arguments"] = ChatMessages.ParseArguments(item.RequiredString("arguments"), item.PathOf("arguments")),
                    },
                });
                break;
            case "function_call_output":
                EndAssistant();
                JsonObject result = Message("tool", ReadText(item, "output"));
                result["tool_call_id"] = item.RequiredString("call_id");
                Messages.Add((JsonNode)result);
                break;
            default:
                throw new RequestException(
                    $"{item.PathOf("type")} must be message, reasoning, function_call or function_call_output", item.PathOf("type"), "unsupported_value");
        }

        Items.Add((JsonNode)Keep(element, path, type));
    }

    private void AddMessage(RequestFields item)
    {
        string role = item.RequiredString("role");
        string text = ReadText(item, "content");
        switch (role)
        {
            case "assistant":
                Assistant().Text.Append(text);
                break;
            case "user" or "system" or "developer":
                EndAssistant();
                Messages.Add((JsonNode)Message(role == "developer" ? "system" : role, text));
                break;
            default:
                throw new RequestException($"{item.PathOf("role")} must be user, assistant, system or developer", item.PathOf("role"));
        }
    }

    private static string ReadText(RequestFields item, string name)
    {
        if (!item.TryGet(name, out JsonElement content))
            throw item.Missing(name);
        string path = item.PathOf(name);
        if (content.ValueKind == JsonValueKind.String)
            return RequestFields.Text(content, path);
        if (content.ValueKind != JsonValueKind.Array)
            throw RequestFields.Mismatch(path, "a string or an array of text parts", content);
        var text = new StringBuilder();
        int index = 0;
        foreach (JsonElement element in content.EnumerateArray())
        {
            RequestFields part = RequestFields.Of(element, $"{path}[{index++}]");
            string type = part.RequiredString("type");
            if (type is not ("input_text" or "output_text" or "text" or "refusal"))
                throw new RequestException($"{part.PathOf("type")} must be input_text or output_text: the model reads nothing else", part.PathOf("type"), "unsupported_value");
            text.Append(part.RequiredString(type == "refusal" ? "refusal" : "text"));
        }

        return text.ToString();
    }

    // A summary stands in for thinking that its author keeps to itself.
    private static string ReadReasoning(RequestFields item)
    {
        var text = new StringBuilder();
        foreach (string name in (ReadOnlySpan<string>)["content", "summary"])
        {
            int index = 0;
            foreach (JsonElement element in item.Array(name, MaxItems)?.EnumerateArray() ?? default)
                text.Append(RequestFields.Of(element, $"{item.PathOf(name)}[{index++}]").RequiredString("text"));
            if (text.Length > 0)
                break;
        }

        return text.ToString();
    }

    private static JsonObject Keep(JsonElement element, string path, string type)
    {
        var item = (JsonObject)JsonCopy.Of(element, path)!;
        item["type"] = type;
        item["id"] ??= ResponseIds.Of(type);
        item["status"] ??= "completed";
        return item;
    }

    private static JsonObject Message(string role, string content) => new() { ["role"] = role, ["content"] = content };

    private Turn Assistant() => _assistant ??= new Turn();

    private void EndAssistant()
    {
        if (_assistant is { } turn)
            Messages.Add((JsonNode)turn.ToMessage());
        _assistant = null;
    }

    private sealed class Turn
    {
        public StringBuilder Reasoning { get; } = new();

        public StringBuilder Text { get; } = new();

        public JsonArray Calls { get; } = [];

        public JsonObject ToMessage()
        {
            JsonObject message = Message("assistant", Text.ToString());
            if (Reasoning.Length > 0)
                message["reasoning_content"] = Reasoning.ToString();
            if (Calls.Count > 0)
                message["tool_calls"] = Calls;
            return message;
        }
    }
}
