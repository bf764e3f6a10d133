using Sluice.Constraints;
using Sluice.Engine.Sampling;
using Sluice.Text;

namespace Sluice.Engine.Text;

/// <summary>What to generate: token ids in, text out.</summary>
public sealed record TextRequest
{
    /// <summary>Token ids to continue; at least one.</summary>
    public required IReadOnlyList<int> Prompt { get; init; }

    /// <summary>Most tokens to generate; null: as many as the model's length and the engine's memory allow.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>How tokens are chosen.</summary>
    public SamplingOptions Sampling { get; init; } = new();

    /// <summary>Strings that end the text; they are not part of it.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>Token ids that end the text, besides those that end every text of the model; they are not part of it.</summary>
    public IReadOnlyList<int> StopTokens { get; init; } = [];

    /// <summary>Whether to go on past the model's own end of text.</summary>
    public bool IgnoreEndOfText { get; init; }

    /// <summary>What the text must look like; null for no constraint.</summary>
    public CompiledConstraint? Constraint { get; init; }

    /// <summary>Where the prompt's messages lie, which tells the prefix cache where others will continue; null: not known.</summary>
    public PromptStructure? Structure { get; init; }

    /// <summary>Requests with different salts share nothing in the prefix cache.</summary>
    public string CacheSalt { get; init; } = "";

    /// <summary>Whose request it is: clients take turns, by tokens, within a priority.</summary>
    public string Client { get; init; } = "";

    /// <summary>Higher ones are served first, and make lower ones wait even when these have begun.</summary>
    public int Priority { get; init; }

    /// <summary>
    /// The caller's own word for requests whose prompts begin alike; null for none. For who chooses among engines: one engine knows
    /// what begins alike.
    /// </summary>
    public string? CacheKey { get; init; }
}
