using System.Text.Json.Serialization;

namespace Sluice.Server.Health;

/// <summary>What a health check says.</summary>
internal sealed record HealthAnswer(string Status)
{
    public int? Running { get; init; }

    public int? Waiting { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(HealthAnswer))]
internal sealed partial class HealthJson : JsonSerializerContext;
