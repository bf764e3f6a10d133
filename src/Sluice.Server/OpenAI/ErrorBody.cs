using System.Text.Json.Serialization;

namespace Sluice.Server.OpenAI;

/// <summary>An error, as the API tells it: as a whole body, or as an event inside a stream.</summary>
internal sealed record ErrorBody(ErrorDetail Error);

internal sealed record ErrorDetail(string Message, string Type)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? Param { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.Never)]
    public string? Code { get; init; }
}
