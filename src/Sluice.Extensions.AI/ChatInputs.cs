using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;
using Sluice.Core;

namespace Sluice.Extensions.AI;

/// <summary>
/// Turns messages and tools into what chat templates read: content is one string, a result of a tool is a message of its own, and the
/// arguments of calls are objects.
/// </summary>
internal static class ChatInputs
{
    public static JsonArray Messages(IEnumerable<ChatMessage> messages, string? instructions)
    {
        var list = new JsonArray();
        if (!string.IsNullOrEmpty(instructions))
            list.Add((JsonNode)new JsonObject { ["role"] = "system", ["content"] = instructions });
        int index = 0;
        foreach (ChatMessage message in messages)
            AddMessage(list, message, index++);
        if (index == 0)
            throw new RequestException("messages is empty: at least one message is needed", "messages");
        return list;
    }

    public static JsonNode Tool(AIFunctionDeclaration tool) => new JsonObject
    {
        ["type"] = "function",
        ["function"] = new JsonObject
        {
            ["name"] = tool.Name,
            ["description"] = tool.Description,
            ["parameters"] = Node(tool.JsonSchema),
        },
    };

    /// <summary>A value as JSON; what has no type of its own in this library goes by the abstractions' serialiser.</summary>
    public static JsonNode? Node(object? value) => value switch
    {
        null => null,
        JsonNode node => node.DeepClone(),
        string text => JsonValue.Create(text),
        _ => JsonSerializer.SerializeToNode(value, AIJsonUtilities.DefaultOptions.GetTypeInfo(value.GetType())),
    };

    private static void AddMessage(JsonArray list, ChatMessage message, int index)
    {
        var content = new StringBuilder();
        var reasoning = new StringBuilder();
        var calls = new JsonArray();
        var results = new List<JsonNode>();
        foreach (AIContent item in message.Contents)
        {
            switch (item)
            {
                case TextContent text:
                    content.Append(text.Text);
                    break;
                case TextReasoningContent thought:
                    reasoning.Append(thought.Text);
                    break;
                case FunctionCallContent call:
                    calls.Add((JsonNode)Call(call));
                    break;
                case FunctionResultContent result:
                    results.Add(new JsonObject { ["role"] = "tool", ["content"] = ResultText(result.Result), ["tool_call_id"] = result.CallId });
                    break;
                case UsageContent:
                    break;
                default:
                    throw new RequestException(
                        $"messages[{index}] has a {item.GetType().Name}: the model reads text, calls of tools and their results", "messages", "unsupported_value");
            }
        }

        foreach (JsonNode result in results)
            list.Add(result);
        if (results.Count > 0 && content.Length == 0 && calls.Count == 0)
            return;
        var entry = new JsonObject { ["role"] = Role(message.Role, index), ["content"] = content.ToString() };
        if (reasoning.Length > 0)
            entry["reasoning_content"] = reasoning.ToString();
        if (calls.Count > 0)
            entry["tool_calls"] = calls;
        list.Add((JsonNode)entry);
    }

    private static string Role(ChatRole role, int index)
    {
        foreach (ChatRole known in (ReadOnlySpan<ChatRole>)[ChatRole.System, ChatRole.User, ChatRole.Assistant, ChatRole.Tool])
        {
            if (role == known)
                return known.Value;
        }

        throw new RequestException($"messages[{index}] has the role '{role}'; there are system, user, assistant and tool", "messages");
    }

    private static JsonObject Call(FunctionCallContent call)
    {
        var arguments = new JsonObject();
        foreach ((string name, object? value) in call.Arguments ?? new Dictionary<string, object?>(StringComparer.Ordinal))
            arguments[name] = Node(value);
        return new JsonObject
        {
            ["id"] = call.CallId,
            ["type"] = "function",
            ["function"] = new JsonObject { ["name"] = call.Name, ["arguments"] = arguments },
        };
    }

    private static string ResultText(object? result) => result switch
    {
        null => "",
        string text => text,
        TextContent text => text.Text,
        JsonElement { ValueKind: JsonValueKind.String } text => text.GetString()!,
        JsonElement json => Spaced(json.GetRawText()),
        _ => Spaced(JsonSerializer.Serialize(result, AIJsonUtilities.DefaultOptions.GetTypeInfo(result.GetType()))),
    };

    // JSON as Python writes it, which is how templates show calls and how models have seen results: {"a": 1, "b": [2, 3]}.
    private static string Spaced(string json)
    {
        var text = new StringBuilder(json.Length + 16);
        bool isString = false;
        for (int i = 0; i < json.Length; i++)
        {
            char c = json[i];
            if (!isString && char.IsWhiteSpace(c))
                continue;
            text.Append(c);
            if (c == '"')
                isString = !isString;
            else if (isString && c == '\\')
                text.Append(json[++i]);
            else if (!isString && (c is ',' or ':'))
                text.Append(' ');
        }

        return text.ToString();
    }
}
