using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Server.Chat;
using Sluice.Server.Http;

namespace Sluice.Server.Anthropic;

/// <summary>
/// Turns <c>system</c> and <c>messages</c> into what chat templates read: a result of a tool becomes a message of its own, thinking the
/// message's reasoning, and a block's <c>cache_control</c> a mark in the conversation.
/// </summary>
internal sealed class MessageContent
{
    private const int MaxMessages = 10_000;
    private const int MaxBlocks = 10_000;
    private const int MaxMarks = 4; // the API's own

    private readonly List<CacheMark> _marks = [];

    private MessageContent()
    {
    }

    public JsonArray Messages { get; } = [];

    public IReadOnlyList<CacheMark> Marks => _marks;

    /// <summary>Reads a request's conversation.</summary>
    public static MessageContent Read(RequestFields fields)
    {
        var content = new MessageContent();
        if (HasMark(fields.Array("tools", ToolSet.MaxFunctions)))
            content._marks.Add(new CacheMark(-1));
        content.ReadSystem(fields);
        content.ReadMessages(fields);
        if (IsMarked(fields))
            content._marks.Add(new CacheMark(content.Messages.Count - 1));
        return content._marks.Count <= MaxMarks
            ? content
            : throw new RequestException($"cache_control is in {content._marks.Count} places; at most {MaxMarks} are possible", "cache_control");
    }

    private static bool HasMark(JsonElement? tools)
    {
        bool isMarked = false;
        int index = 0;
        foreach (JsonElement tool in tools?.EnumerateArray() ?? default)
            isMarked |= IsMarked(RequestFields.Of(tool, $"tools[{index++}]"));
        return isMarked;
    }

    private static bool IsMarked(RequestFields fields)
    {
        if (fields.Object("cache_control") is not { } control)
            return false;
        return control.RequiredString("type") == "ephemeral"
            ? true
            : throw new RequestException($"{control.PathOf("type")} must be ephemeral", control.PathOf("type"));
    }

    private void ReadSystem(RequestFields fields)
    {
        if (!fields.TryGet("system", out JsonElement system))
            return;
        var turn = new Turn("system");
        foreach (RequestFields block in Blocks(system, "system"))
        {
            if (block.RequiredString("type") != "text")
                throw new RequestException($"{block.PathOf("type")} must be text", block.PathOf("type"), "unsupported_value");
            turn.Text.Append(block.RequiredString("text"));
            Mark(block, turn.Text.Length);
        }

        if (turn.Text.Length > 0)
            Messages.Add((JsonNode)turn.ToMessage());
        else
            _marks.RemoveAll(m => m.Message >= 0);
    }

    private void ReadMessages(RequestFields fields)
    {
        if (fields.Array("messages", MaxMessages) is not { } messages)
            throw fields.Missing("messages");
        if (messages.GetArrayLength() == 0)
            throw new RequestException("messages is empty: at least one message is needed", "messages");
        int index = 0;
        foreach (JsonElement item in messages.EnumerateArray())
        {
            RequestFields message = RequestFields.Of(item, $"messages[{index++}]");
            string role = message.RequiredString("role");
            if (role is not ("user" or "assistant"))
                throw new RequestException($"{message.PathOf("role")} must be user or assistant", message.PathOf("role"));
            if (!message.TryGet("content", out JsonElement content))
                throw message.Missing("content");
            ReadMessage(role, content, message.PathOf("content"));
        }
    }

    private void ReadMessage(string role, JsonElement content, string path)
    {
        var turn = new Turn(role);
        foreach (RequestFields block in Blocks(content, path))
        {
            switch (block.RequiredString("type"))
            {
                case "text":
                    turn.Text.Append(block.RequiredString("text"));
                    turn.HasText = true;
                    Mark(block, turn.Text.Length);
                    break;
                case "thinking" when role == "assistant":
                    turn.Reasoning.Append(block.RequiredString("thinking"));
                    break;
                case "redacted_thinking" when role == "assistant":
                    break; // written by another model, for it alone
                case "tool_use" when role == "assistant":
                    turn.Calls.Add((JsonNode)ReadCall(block));
                    Mark(block, null);
                    break;
                case "tool_result" when role == "user":
                    // Templates have one message for each result; text around them is the user's.
                    if (turn.HasText)
                        Messages.Add((JsonNode)turn.ToMessage());
                    turn = new Turn(role);
                    Messages.Add((JsonNode)ReadResult(block));
                    if (IsMarked(block))
                        _marks.Add(new CacheMark(Messages.Count - 1));
                    break;
                default:
                    string type = block.PathOf("type");
                    throw new RequestException($"{type} must be text, or tool_result in a user's and thinking or tool_use in an assistant's message: the model reads nothing else", type, "unsupported_value");
            }
        }

        if (turn.HasText || role == "assistant" || Messages.Count == 0 || (string)Messages[^1]!["role"]! != "tool")
            Messages.Add((JsonNode)turn.ToMessage());
    }

    // The message being read will be the next in the list.
    private void Mark(RequestFields block, int? characters)
    {
        if (IsMarked(block))
            _marks.Add(new CacheMark(Messages.Count, characters));
    }

    private static JsonObject ReadCall(RequestFields block)
    {
        JsonNode input = block.TryGet("input", out JsonElement value) ? JsonCopy.Of(value, block.PathOf("input"))! : new JsonObject();
        return new JsonObject
        {
            ["id"] = block.RequiredString("id"),
            ["type"] = "function",
            ["function"] = new JsonObject { ["name"] = block.RequiredString("name"), ["arguments"] = input },
        };
    }

    private static JsonObject ReadResult(RequestFields block)
    {
        var text = new StringBuilder();
        if (block.TryGet("content", out JsonElement content))
        {
            foreach (RequestFields part in Blocks(content, block.PathOf("content")))
            {
                if (part.RequiredString("type") != "text")
                    throw new RequestException($"{part.PathOf("type")} must be text: the model reads nothing else", part.PathOf("type"), "unsupported_value");
                text.Append(part.RequiredString("text"));
            }
        }

        _ = block.Boolean("is_error");
        return new JsonObject { ["role"] = "tool", ["content"] = text.ToString(), ["tool_call_id"] = block.RequiredString("tool_use_id") };
    }

    // A string stands for one block of text.
    private static IEnumerable<RequestFields> Blocks(JsonElement content, string path)
    {
        if (content.ValueKind == JsonValueKind.String)
        {
            string text = RequestFields.Text(content, path);
            using JsonDocument block = JsonSerializer.SerializeToDocument(
                new JsonObject { ["type"] = "text", ["text"] = text }, AnthropicJson.Default.JsonObject);
            yield return RequestFields.Of(block.RootElement, path);
            yield break;
        }

        if (content.ValueKind != JsonValueKind.Array)
            throw RequestFields.Mismatch(path, "a string or an array of blocks", content);
        if (content.GetArrayLength() > MaxBlocks)
            throw new RequestException($"{path} has {content.GetArrayLength()} blocks; at most {MaxBlocks} are possible", path);
        int index = 0;
        foreach (JsonElement block in content.EnumerateArray())
            yield return RequestFields.Of(block, $"{path}[{index++}]");
    }

    /// <summary>A message as it is put together.</summary>
    private sealed class Turn(string role)
    {
        public StringBuilder Text { get; } = new();

        public StringBuilder Reasoning { get; } = new();

        public JsonArray Calls { get; } = [];

        public bool HasText { get; set; }

        public JsonObject ToMessage()
        {
            var message = new JsonObject { ["role"] = role, ["content"] = Text.ToString() };
            if (Reasoning.Length > 0)
                message["reasoning_content"] = Reasoning.ToString();
            if (Calls.Count > 0)
                message["tool_calls"] = Calls;
            return message;
        }
    }
}
