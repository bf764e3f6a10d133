using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Sluice.Engine;
using Sluice.Server.Chat;

namespace Sluice.Server.Ollama;

/// <summary>A line of an answer, or all of it; the last is done and says what it took. What its address or place does not have is null.</summary>
internal sealed record OllamaAnswer(string Model, DateTimeOffset CreatedAt)
{
    /// <summary>More of the message, from <c>/api/chat</c>.</summary>
    public OllamaMessage? Message { get; init; }

    /// <summary>More of the text, from <c>/api/generate</c>.</summary>
    public string? Response { get; init; }

    /// <summary>More of the thinking, from <c>/api/generate</c>.</summary>
    public string? Thinking { get; init; }

    public bool Done { get; init; }

    public string? DoneReason { get; init; }

    public long? TotalDuration { get; init; }

    public long? LoadDuration { get; init; }

    public int? PromptEvalCount { get; init; }

    public long? PromptEvalDuration { get; init; }

    public int? EvalCount { get; init; }

    public long? EvalDuration { get; init; }

    /// <summary>This line as the last, with the figures of an answer.</summary>
    public OllamaAnswer End(AnswerEnd end)
    {
        GenerationUsage usage = end.Text.Usage;
        return this with
        {
            Done = true,
            DoneReason = end.Reason == AnswerReason.Length ? "length" : "stop",
            TotalDuration = Nanoseconds(usage.QueueTime + usage.PrefillTime + usage.DecodeTime),
            LoadDuration = 0, // the model is loaded before the first request
            PromptEvalCount = end.Usage.Prompt,
            PromptEvalDuration = Nanoseconds(usage.PrefillTime),
            EvalCount = end.Usage.Output,
            EvalDuration = Nanoseconds(usage.DecodeTime),
        };
    }

    private static long Nanoseconds(TimeSpan time) => time.Ticks * TimeSpan.NanosecondsPerTick;
}

internal sealed record OllamaMessage(string Content)
{
    [JsonPropertyOrder(-1)]
    public string Role => "assistant";

    public string? Thinking { get; init; }

    public IReadOnlyList<OllamaCall>? ToolCalls { get; init; }
}

/// <summary>A call; unlike OpenAI's, its arguments are an object, so it comes whole.</summary>
internal sealed record OllamaCall(string Id, OllamaFunction Function)
{
    public static OllamaCall Of(AnswerCall call, int index) => new(call.Id, new OllamaFunction(index, call.Name, ArgumentsOf(call.Arguments)));

    // Arguments that were cut short are no JSON.
    private static JsonObject ArgumentsOf(string arguments)
    {
        try
        {
            return JsonNode.Parse(arguments) as JsonObject ?? [];
        }
        catch (JsonException)
        {
            return [];
        }
    }
}

internal sealed record OllamaFunction(int Index, string Name, JsonObject Arguments);

/// <summary>The answer of <c>/api/tags</c> and of <c>/api/ps</c>.</summary>
internal sealed record OllamaModelList(IReadOnlyList<OllamaModel> Models);

internal sealed record OllamaModel(string Name, DateTimeOffset ModifiedAt, OllamaModelDetails Details)
{
    public string Model => Name;

    public long Size => 0;

    public string Digest => "";
}

internal sealed record OllamaModelDetails(string Family)
{
    public string ParentModel => "";

    public string Format => "safetensors";

    public IReadOnlyList<string> Families => [Family];

    public string ParameterSize => "";

    public string QuantizationLevel => "";
}

/// <summary>The answer of <c>/api/show</c>.</summary>
internal sealed record OllamaModelShow(OllamaModelDetails Details, JsonObject ModelInfo, IReadOnlyList<string> Capabilities)
{
    public string Modelfile => "";

    public string Parameters => "";

    public required string Template { get; init; }
}

/// <summary>The answer of <c>/api/version</c>.</summary>
internal sealed record OllamaVersion(string Version);

/// <summary>An error in this API's shape.</summary>
internal sealed record OllamaError(string Error);
