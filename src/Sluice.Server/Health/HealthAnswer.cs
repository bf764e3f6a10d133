using System.Text.Json.Serialization;

namespace Sluice.Server.Health;

/// <summary>What a health check says.</summary>
internal sealed record HealthAnswer(string Status)
{
    public int? Running { get; init; }

    public int? Waiting { get; init; }

    /// <summary>While the model loads, how much of it is here, from 0 to 1.</summary>
    public double? Loaded { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(HealthAnswer))]
internal sealed partial class HealthJson : JsonSerializerContext;
