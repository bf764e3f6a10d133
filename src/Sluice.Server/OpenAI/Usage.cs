using System.Text.Json;
using System.Text.Json.Serialization;
using Sluice.Engine;

namespace Sluice.Server.OpenAI;

/// <summary>Tokens a request took.</summary>
internal sealed record Usage(int PromptTokens, int CompletionTokens, int TotalTokens)
{
    /// <summary>Stands for <c>"usage": null</c>, which every chunk but the last of a stream has once usage is asked for.</summary>
    public static Usage Pending { get; } = new(0, 0, 0);

    public static Usage Of(GenerationUsage usage) => new(usage.PromptTokens, usage.OutputTokens, usage.TotalTokens);
}

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
