using System.Text.Json.Serialization;

namespace Sluice.Server.OpenAI;

/// <summary>The answer of <c>/v1/models</c>.</summary>
internal sealed record ModelList(IReadOnlyList<ModelEntry> Data)
{
    [JsonPropertyOrder(-1)]
    public string Object => "list";
}

/// <summary>The answer of <c>/v1/models/{id}</c>; <c>max_model_len</c> is vLLM's name for the longest sequence.</summary>
internal sealed record ModelEntry(string Id, long Created, int MaxModelLen)
{
    [JsonPropertyOrder(-1)]
    public string Object => "model";

    public string OwnedBy => "sluice";
}
