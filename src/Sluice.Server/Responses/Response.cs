using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Sluice.Server.Chat;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Responses;

/// <summary>A response: what was asked, what was answered, and where it stands.</summary>
internal sealed record Response(string Id, long CreatedAt, string Status, string Model)
{
    [JsonPropertyOrder(-1)]
    public string Object => "response";

    public bool Background => false;

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public ResponseError? Error { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public IncompleteDetails? IncompleteDetails { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? Instructions { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public int? MaxOutputTokens { get; init; }

    public IReadOnlyList<ResponseItem> Output { get; init; } = [];

    public bool ParallelToolCalls { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? PreviousResponseId { get; init; }

    public string? PromptCacheKey { get; init; }

    public JsonNode? Reasoning { get; init; }

    public string ServiceTier => "default";

    public bool Store { get; init; }

    public float Temperature { get; init; }

    public JsonNode? Text { get; init; }

    public JsonNode? ToolChoice { get; init; }

    public JsonNode? Tools { get; init; }

    public int TopLogprobs { get; init; }

    public float TopP { get; init; }

    public string Truncation => "disabled";

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public ResponseUsage? Usage { get; init; }

    public JsonNode? Metadata { get; init; }

    /// <summary>This response with how its answer ended.</summary>
    public Response End(AnswerEnd end, IReadOnlyList<ResponseItem> output) => this with
    {
        Status = end.Reason == AnswerReason.Length ? "incomplete" : "completed",
        IncompleteDetails = end.Reason == AnswerReason.Length ? new IncompleteDetails("max_output_tokens") : null,
        Output = output,
        Usage = ResponseUsage.Of(end.Usage),
    };
}

internal sealed record ResponseError(string Code, string Message);

internal sealed record IncompleteDetails(string Reason);

/// <summary>Tokens a response took.</summary>
internal sealed record ResponseUsage(
    int InputTokens, PromptTokensDetails InputTokensDetails, int OutputTokens, CompletionTokensDetails OutputTokensDetails, int TotalTokens)
{
    public static ResponseUsage Of(TokenUsage usage) =>
        new(usage.Prompt, new PromptTokensDetails(usage.Cached), usage.Output, new CompletionTokensDetails(usage.Reasoning), usage.Total);
}

/// <summary>An item of the output: a message, thinking, or a call. What its type does not have is null.</summary>
internal sealed record ResponseItem(string Id, string Type, string Status)
{
    public string? Role { get; init; }

    public IReadOnlyList<ResponsePart>? Content { get; init; }

    /// <summary>Thinking is told in full, not in summary.</summary>
    public IReadOnlyList<ResponsePart>? Summary { get; init; }

    public string? CallId { get; init; }

    public string? Name { get; init; }

    public string? Arguments { get; init; }

    public static ResponseItem OfMessage(IReadOnlyList<ResponsePart> content, string status = "in_progress", string? id = null) =>
        new(id ?? ResponseIds.Message(), "message", status) { Role = "assistant", Content = content };

    public static ResponseItem OfReasoning() => new(ResponseIds.Reasoning(), "reasoning", "in_progress") { Summary = [], Content = [] };

    public static ResponseItem OfCall(string callId, string name) =>
        new(ResponseIds.Call(), "function_call", "in_progress") { CallId = callId, Name = name, Arguments = "" };
}

/// <summary>A part of an item's content: text of the answer or of the thinking.</summary>
internal sealed record ResponsePart(string Type, string Text)
{
    /// <summary>Of text of the answer; always empty.</summary>
    public IReadOnlyList<string>? Annotations { get; init; }

    public IReadOnlyList<ChatTokenLogprob>? Logprobs { get; init; }

    public static ResponsePart OfText(string text, IReadOnlyList<ChatTokenLogprob> logprobs) =>
        new("output_text", text) { Annotations = [], Logprobs = logprobs };

    public static ResponsePart OfReasoning(string text) => new("reasoning_text", text);
}

/// <summary>An event of a streamed response. What its type does not have is null.</summary>
internal sealed record ResponseEvent(string Type)
{
    public int SequenceNumber { get; init; }

    public Response? Response { get; init; }

    public int? OutputIndex { get; init; }

    public string? ItemId { get; init; }

    public int? ContentIndex { get; init; }

    public ResponseItem? Item { get; init; }

    public ResponsePart? Part { get; init; }

    public string? Delta { get; init; }

    public string? Text { get; init; }

    public string? Name { get; init; }

    public string? Arguments { get; init; }

    public IReadOnlyList<ChatTokenLogprob>? Logprobs { get; init; }
}

/// <summary>The answer of <c>DELETE /v1/responses/{id}</c>.</summary>
internal sealed record DeletedResponse(string Id)
{
    public string Object => "response";

    public bool Deleted => true;
}

/// <summary>The answer of <c>GET /v1/responses/{id}/input_items</c>.</summary>
internal sealed record ResponseItemList(JsonArray Data, bool HasMore)
{
    public string Object => "list";

    public string? FirstId => (string?)Data.FirstOrDefault()?["id"];

    public string? LastId => (string?)Data.LastOrDefault()?["id"];
}
