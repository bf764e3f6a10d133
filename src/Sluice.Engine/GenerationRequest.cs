using Sluice.Engine.Sampling;

namespace Sluice.Engine;

/// <summary>What to generate: token ids in, token ids out.</summary>
public sealed record GenerationRequest
{
    /// <summary>Token ids to continue; at least one.</summary>
    public required IReadOnlyList<int> Prompt { get; init; }

    /// <summary>Most tokens to generate; null: as many as the model's length and the engine's memory allow.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>How tokens are chosen.</summary>
    public SamplingOptions Sampling { get; init; } = new();

    /// <summary>Token ids that end the generation. The one that does is the last token of the output.</summary>
    public IReadOnlyList<int> StopTokens { get; init; } = [];
}
