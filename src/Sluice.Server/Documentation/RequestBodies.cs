using System.ComponentModel;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Sluice.Server.Documentation;

// What requests may say, for the API's description alone: requests are read by RequestFields, which is stricter than any type here.

/// <summary>Sampling and streaming, which both ways of generating share.</summary>
internal abstract record GenerationBody
{
    [Description("The model's name; may be left out.")]
    public string? Model { get; init; }

    [Description("0 takes the likeliest token. Default: the model's own.")]
    public float? Temperature { get; init; }

    [Description("Only the likeliest tokens that together have this probability.")]
    public float? TopP { get; init; }

    [Description("Only so many of the likeliest tokens; 0 or -1 for all.")]
    public int? TopK { get; init; }

    [Description("Only tokens with at least this share of the likeliest one's probability.")]
    public float? MinP { get; init; }

    public float? PresencePenalty { get; init; }

    public float? FrequencyPenalty { get; init; }

    public float? RepetitionPenalty { get; init; }

    [Description("Token ids and what to add to their logits, from -100 to 100.")]
    public IReadOnlyDictionary<string, float>? LogitBias { get; init; }

    [Description("Makes the answer repeatable.")]
    public long? Seed { get; init; }

    [Description("A string, or a list of strings, that ends the text and is not part of it.")]
    public JsonElement? Stop { get; init; }

    [Description("Whether to answer with server-sent events.")]
    public bool? Stream { get; init; }

    public StreamOptionsBody? StreamOptions { get; init; }
}

internal sealed record StreamOptionsBody
{
    [Description("Whether a last event tells the usage.")]
    public bool? IncludeUsage { get; init; }
}

internal sealed record ChatBody : GenerationBody
{
    public required IReadOnlyList<MessageBody> Messages { get; init; }

    [Description("Most tokens of the answer.")]
    public int? MaxCompletionTokens { get; init; }

    [Description("The older name of max_completion_tokens.")]
    public int? MaxTokens { get; init; }

    public bool? Logprobs { get; init; }

    public int? TopLogprobs { get; init; }

    [Description("Functions the model may call.")]
    public IReadOnlyList<JsonElement>? Tools { get; init; }

    [Description("Variables of the chat template, such as enable_thinking.")]
    public IReadOnlyDictionary<string, JsonElement>? ChatTemplateKwargs { get; init; }
}

internal sealed record MessageBody
{
    [Description("system, developer, user, assistant or tool.")]
    public required string Role { get; init; }

    [Description("A string, or a list of text parts.")]
    public JsonElement? Content { get; init; }
}

internal sealed record CompletionBody : GenerationBody
{
    [Description("A text or a list of token ids.")]
    public required JsonElement Prompt { get; init; }

    [Description("Most tokens of the answer. Default: 16.")]
    public int? MaxTokens { get; init; }

    [Description("How many of the likeliest tokens to tell at each place.")]
    public int? Logprobs { get; init; }
}

internal sealed record TokenizeBody
{
    public string? Model { get; init; }

    [Description("A text; special tokens in it are special. Either this or messages.")]
    public string? Prompt { get; init; }

    [Description("A chat, put through the model's template. Either this or prompt.")]
    public IReadOnlyList<MessageBody>? Messages { get; init; }

    [Description("Whether the template begins the answer. Default: true.")]
    public bool? AddGenerationPrompt { get; init; }

    [Description("For compatibility: the tokenizers of these models add no tokens of their own.")]
    public bool? AddSpecialTokens { get; init; }

    [Description("Whether to tell each token's text too.")]
    public bool? ReturnTokenStrs { get; init; }
}

internal sealed record DetokenizeBody
{
    public string? Model { get; init; }

    public required IReadOnlyList<int> Tokens { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ChatBody))]
[JsonSerializable(typeof(CompletionBody))]
[JsonSerializable(typeof(TokenizeBody))]
[JsonSerializable(typeof(DetokenizeBody))]
internal sealed partial class RequestBodiesJson : JsonSerializerContext;
