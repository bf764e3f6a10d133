using System.Text.Json;
using System.Text.Json.Serialization;
using Sluice.Server.Chat;

namespace Sluice.Server.OpenAI;

/// <summary>The answer of <c>/v1/chat/completions</c>.</summary>
internal sealed record ChatCompletion(string Id, long Created, string Model, IReadOnlyList<ChatChoice> Choices, Usage Usage)
{
    [JsonPropertyOrder(-1)]
    public string Object => "chat.completion";
}

internal sealed record ChatChoice(int Index, ChatMessage Message, string FinishReason)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public ChatLogprobs? Logprobs { get; init; }
}

internal sealed record ChatMessage(
    string Role, [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? Content)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? Refusal => null;

    public string? ReasoningContent { get; init; }

    public IReadOnlyList<ChatToolCall>? ToolCalls { get; init; }

    public static ChatMessage Of(Answer answer) => new("assistant", answer.Content.Length == 0 && answer.Calls.Count > 0 ? null : answer.Content)
    {
        ReasoningContent = answer.Reasoning.Length > 0 ? answer.Reasoning : null,
        ToolCalls = answer.Calls.Count > 0 ? [.. answer.Calls.Select(c => new ChatToolCall(c.Id, "function", new ChatFunction(c.Name, c.Arguments)))] : null,
    };
}

/// <summary>A call; in a stream <paramref name="Id"/>, <paramref name="Type"/> and the name come with the first part alone.</summary>
internal sealed record ChatToolCall(string? Id, string? Type, ChatFunction Function)
{
    /// <summary>Its place among the calls, in a stream.</summary>
    [JsonPropertyOrder(-1)]
    public int? Index { get; init; }
}

internal sealed record ChatFunction(string? Name, string Arguments);

/// <summary>One event of a streamed answer.</summary>
internal sealed record ChatCompletionChunk(string Id, long Created, string Model, IReadOnlyList<ChatChunkChoice> Choices)
{
    [JsonPropertyOrder(-1)]
    public string Object => "chat.completion.chunk";

    [JsonConverter(typeof(PendingUsageConverter))]
    public Usage? Usage { get; init; }
}

internal sealed record ChatChunkChoice(int Index, ChatDelta Delta)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public ChatLogprobs? Logprobs { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? FinishReason { get; init; }
}

/// <summary>What an event adds to the message; the first says the role, the last nothing.</summary>
internal sealed record ChatDelta(string? Role = null)
{
    [JsonConverter(typeof(NullContentConverter))]
    public string? Content { get; init; }

    public string? ReasoningContent { get; init; }

    public IReadOnlyList<ChatToolCall>? ToolCalls { get; init; }

    /// <summary>The first event: content is null where the answer begins with a call.</summary>
    public static ChatDelta Begin(AnswerPart? first) => new("assistant") { Content = first is CallPart ? NullContentConverter.Null : "" };

    public static ChatDelta Of(AnswerPart part) => part switch
    {
        ContentPart content => new ChatDelta { Content = content.Text },
        ReasoningPart reasoning => new ChatDelta { ReasoningContent = reasoning.Text },
        CallPart call => new ChatDelta { ToolCalls = [new ChatToolCall(call.Id, "function", new ChatFunction(call.Name, "")) { Index = call.Index }] },
        ArgumentsPart arguments => new ChatDelta { ToolCalls = [new ChatToolCall(null, null, new ChatFunction(null, arguments.Text)) { Index = arguments.Index }] },
        _ => throw new ArgumentOutOfRangeException(nameof(part), part.GetType().Name),
    };
}

/// <summary>Writes <see cref="Null"/> as null; null itself is left out.</summary>
internal sealed class NullContentConverter : JsonConverter<string>
{
    /// <summary>Stands for <c>"content": null</c>; compared by reference.</summary>
    public static readonly string Null = new(['-']);

    public override string Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        throw new NotSupportedException("a delta is only ever written");

    public override void Write(Utf8JsonWriter writer, string value, JsonSerializerOptions options)
    {
        if (ReferenceEquals(value, Null))
            writer.WriteNullValue();
        else
            writer.WriteStringValue(value);
    }
}

/// <summary>Log-probabilities of the tokens of a message or of a delta.</summary>
internal sealed record ChatLogprobs(IReadOnlyList<ChatTokenLogprob> Content)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? Refusal => null;
}

internal sealed record ChatTokenLogprob(string Token, float Logprob, int[] Bytes, IReadOnlyList<ChatTopLogprob> TopLogprobs);

internal sealed record ChatTopLogprob(string Token, float Logprob, int[] Bytes);
