using System.Text.Json.Serialization;

namespace Sluice.Server.OpenAI;

/// <summary>The answer of <c>/v1/completions</c>, and each event of a streamed one: the legacy API has one shape for both.</summary>
internal sealed record CompletionResponse(string Id, long Created, string Model, IReadOnlyList<CompletionChoice> Choices)
{
    [JsonPropertyOrder(-1)]
    public string Object => "text_completion";

    [JsonConverter(typeof(PendingUsageConverter))]
    public Usage? Usage { get; init; }
}

internal sealed record CompletionChoice(int Index, string Text)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public CompletionLogprobs? Logprobs { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? FinishReason { get; init; }
}

/// <summary>Log-probabilities in the legacy shape: parallel lists, one item a token.</summary>
/// <param name="Tokens">Text of each token.</param>
/// <param name="TokenLogprobs">Its log-probability.</param>
/// <param name="TopLogprobs">The likeliest tokens at its place by their text.</param>
/// <param name="TextOffset">Where it begins in the text, in code points.</param>
internal sealed record CompletionLogprobs(
    IReadOnlyList<string> Tokens,
    IReadOnlyList<float> TokenLogprobs,
    IReadOnlyList<IReadOnlyDictionary<string, float>> TopLogprobs,
    IReadOnlyList<int> TextOffset);
