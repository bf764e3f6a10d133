using Sluice.Constraints;
using Sluice.Engine.Sampling;
using Sluice.Text;

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

    /// <summary>
    /// What the output must look like; null for no constraint. Its tokens that end the text should be among <see cref="StopTokens"/>; when
    /// one of them comes, or nothing else may, the generation ends in any case.
    /// </summary>
    public CompiledConstraint? Constraint { get; init; }

    /// <summary>Where the prompt's messages lie, which tells the prefix cache where others will continue; null: not known.</summary>
    public PromptStructure? Structure { get; init; }

    /// <summary>Requests with different salts share nothing in the prefix cache.</summary>
    public string CacheSalt { get; init; } = "";

    /// <summary>Whose request it is: clients take turns, by tokens, within a priority.</summary>
    public string Client { get; init; } = "";

    /// <summary>Higher ones are served first, and make lower ones wait even when these have begun.</summary>
    public int Priority { get; init; }
}
