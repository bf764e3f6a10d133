using System.Text.Json;
using System.Text.Json.Serialization;
using Sluice.Server.Chat;

namespace Sluice.Server.OpenAI;

/// <summary>Tokens a request took.</summary>
internal sealed record Usage(
    int PromptTokens,
    int CompletionTokens,
    int TotalTokens,
    PromptTokensDetails PromptTokensDetails,
    CompletionTokensDetails CompletionTokensDetails)
{
    /// <summary>Stands for <c>"usage": null</c>, which every chunk but the last of a stream has once usage is asked for.</summary>
    public static Usage Pending { get; } = Of(default);

    public static Usage Of(TokenUsage usage) =>
        new(usage.Prompt, usage.Output, usage.Total, new PromptTokensDetails(usage.Cached), new CompletionTokensDetails(usage.Reasoning));
}

/// <summary>Of the prompt's tokens, those the prefix cache had.</summary>
internal sealed record PromptTokensDetails(int CachedTokens);

/// <summary>Of the answer's tokens, those of thinking.</summary>
internal sealed record CompletionTokensDetails(int ReasoningTokens);

/// <summary>Writes <see cref="Usage.Pending"/> as null; null itself is left out.</summary>
internal sealed class PendingUsageConverter : JsonConverter<Usage>
{
    public override Usage Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        throw new NotSupportedException("usage is only ever written");

    public override void Write(Utf8JsonWriter writer, Usage value, JsonSerializerOptions options)
    {
        if (ReferenceEquals(value, Usage.Pending))
            writer.WriteNullValue();
        else
            JsonSerializer.Serialize(writer, value, OpenAIJson.Default.Usage);
    }
}
