using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Sluice.Server.Chat;

namespace Sluice.Server.Anthropic;

/// <summary>The answer of <c>/v1/messages</c>.</summary>
internal sealed record Message(string Id, string Model, IReadOnlyList<Block> Content, MessageUsage Usage)
{
    [JsonPropertyOrder(-1)]
    public string Type => "message";

    public string Role => "assistant";

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? StopReason { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? StopSequence { get; init; }

    /// <summary>The API's word for how an answer ended.</summary>
    public static string StopReasonOf(AnswerEnd end) => end switch
    {
        { StopString: not null } => "stop_sequence",
        { Reason: AnswerReason.Length } => "max_tokens",
        { Reason: AnswerReason.ToolCalls } => "tool_use",
        _ => "end_turn",
    };
}

/// <summary>A block of content: text, thinking, or a call. What its type does not have is null.</summary>
internal sealed record Block(string Type)
{
    public string? Text { get; init; }

    public string? Thinking { get; init; }

    /// <summary>Thinking is not signed: it comes back as it was sent, and is read as it comes.</summary>
    public string? Signature { get; init; }

    public string? Id { get; init; }

    public string? Name { get; init; }

    public JsonObject? Input { get; init; }

    public static Block OfText(string text) => new("text") { Text = text };

    public static Block OfThinking(string thinking) => new("thinking") { Thinking = thinking, Signature = "" };

    public static Block OfCall(string id, string name, JsonObject input) => new("tool_use") { Id = id, Name = name, Input = input };

    /// <summary>The blocks of an answer.</summary>
    public static IReadOnlyList<Block> Of(Answer answer)
    {
        var blocks = new List<Block>();
        if (answer.Reasoning.Length > 0)
            blocks.Add(OfThinking(answer.Reasoning));
        if (answer.Content.Length > 0)
            blocks.Add(OfText(answer.Content));
        foreach (AnswerCall call in answer.Calls)
            blocks.Add(OfCall(call.Id, call.Name, InputOf(call.Arguments)));
        return blocks;
    }

    // Arguments that were cut short are no JSON; the API's documentation shows this shape for them.
    private static JsonObject InputOf(string arguments)
    {
        try
        {
            if (JsonNode.Parse(arguments) is JsonObject input)
                return input;
        }
        catch (JsonException)
        {
        }

        return new JsonObject { ["INVALID_JSON"] = arguments };
    }
}

/// <summary>Tokens a request took; those that the prefix cache had are not among <paramref name="InputTokens"/>.</summary>
internal sealed record MessageUsage(int InputTokens, int CacheCreationInputTokens, int CacheReadInputTokens, int OutputTokens)
{
    /// <param name="usage">What the answer took.</param>
    /// <param name="marked">Tokens of the prompt up to the last <c>cache_control</c>; 0 without one, and then nothing counts as created.</param>
    public static MessageUsage Of(TokenUsage usage, int marked)
    {
        int created = Math.Max(0, Math.Min(usage.Kept, marked) - usage.Cached);
        return new MessageUsage(usage.Prompt - usage.Cached - created, created, usage.Cached, usage.Output);
    }
}

/// <summary>The answer of <c>/v1/messages/count_tokens</c>.</summary>
internal sealed record TokenCount(int InputTokens);

/// <summary>An event of a streamed answer. What its type does not have is null.</summary>
internal sealed record MessageEvent(string Type)
{
    public Message? Message { get; init; }

    public int? Index { get; init; }

    public Block? ContentBlock { get; init; }

    public MessageDelta? Delta { get; init; }

    public MessageUsage? Usage { get; init; }
}

/// <summary>What an event adds to a block.</summary>
internal sealed record MessageDelta
{
    public string? Type { get; init; }

    public string? Text { get; init; }

    public string? Thinking { get; init; }

    public string? Signature { get; init; }

    public string? PartialJson { get; init; }

    public string? StopReason { get; init; }

    public string? StopSequence { get; init; }
}

/// <summary>An error in the API's shape.</summary>
internal sealed record AnthropicError(AnthropicErrorDetail Error, string RequestId)
{
    [JsonPropertyOrder(-1)]
    public string Type => "error";

    public static AnthropicError Of(int status, string message, string requestId) => new(new AnthropicErrorDetail(TypeOf(status), message), requestId);

    private static string TypeOf(int status) => status switch
    {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 or 529 => "overloaded_error",
        >= 500 => "api_error",
        _ => "invalid_request_error",
    };
}

internal sealed record AnthropicErrorDetail(string Type, string Message);
