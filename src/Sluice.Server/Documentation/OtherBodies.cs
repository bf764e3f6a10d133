using System.ComponentModel;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Sluice.Server.Documentation;

// What requests to the other APIs may say, for the API's description alone.

internal sealed record EmbeddingsBody
{
    public JsonElement? Input { get; init; }
}

internal sealed record ResponseBody
{
    public string? Model { get; init; }

    [Description("A text, or a list of items: messages, calls and their results, thinking.")]
    public required JsonElement Input { get; init; }

    [Description("The system message of this response alone.")]
    public string? Instructions { get; init; }

    [Description("A response that is kept, whose conversation goes on.")]
    public string? PreviousResponseId { get; init; }

    [Description("Whether to keep the response. Default: true.")]
    public bool? Store { get; init; }

    public int? MaxOutputTokens { get; init; }

    public float? Temperature { get; init; }

    public float? TopP { get; init; }

    [Description("Functions the model may call.")]
    public IReadOnlyList<JsonElement>? Tools { get; init; }

    public JsonElement? ToolChoice { get; init; }

    [Description("How much to think: effort.")]
    public JsonElement? Reasoning { get; init; }

    [Description("The form of the answer: format.")]
    public JsonElement? Text { get; init; }

    public bool? Stream { get; init; }
}

internal record MessagesCountBody
{
    public string? Model { get; init; }

    [Description("Messages of user and assistant, each a text or a list of blocks.")]
    public required IReadOnlyList<MessageBody> Messages { get; init; }

    [Description("A text, or a list of text blocks.")]
    public JsonElement? System { get; init; }

    [Description("Functions the model may call.")]
    public IReadOnlyList<JsonElement>? Tools { get; init; }

    public JsonElement? ToolChoice { get; init; }

    [Description("Whether to think first. Default: no.")]
    public JsonElement? Thinking { get; init; }
}

internal sealed record MessagesBody : MessagesCountBody
{
    [Description("Most tokens of the answer.")]
    public required int MaxTokens { get; init; }

    public IReadOnlyList<string>? StopSequences { get; init; }

    public float? Temperature { get; init; }

    public float? TopP { get; init; }

    public int? TopK { get; init; }

    public bool? Stream { get; init; }
}

internal abstract record OllamaBody
{
    public required string Model { get; init; }

    [Description("Whether to answer line by line. Default: true.")]
    public bool? Stream { get; init; }

    [Description("Sampling and limits: temperature, top_k, top_p, min_p, seed, num_predict, stop, repeat_penalty and others.")]
    public IReadOnlyDictionary<string, JsonElement>? Options { get; init; }

    [Description("Whether, or how much, to think.")]
    public JsonElement? Think { get; init; }

    [Description("json, or a JSON schema.")]
    public JsonElement? Format { get; init; }
}

internal sealed record OllamaChatBody : OllamaBody
{
    public IReadOnlyList<MessageBody>? Messages { get; init; }

    [Description("Functions the model may call.")]
    public IReadOnlyList<JsonElement>? Tools { get; init; }
}

internal sealed record OllamaGenerateBody : OllamaBody
{
    public string? Prompt { get; init; }

    public string? System { get; init; }

    [Description("Whether the prompt is the whole context, template and all.")]
    public bool? Raw { get; init; }
}

internal sealed record OllamaShowBody
{
    public required string Model { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(EmbeddingsBody))]
[JsonSerializable(typeof(ResponseBody))]
[JsonSerializable(typeof(MessagesCountBody))]
[JsonSerializable(typeof(MessagesBody))]
[JsonSerializable(typeof(OllamaChatBody))]
[JsonSerializable(typeof(OllamaGenerateBody))]
[JsonSerializable(typeof(OllamaShowBody))]
internal sealed partial class OtherBodiesJson : JsonSerializerContext;
