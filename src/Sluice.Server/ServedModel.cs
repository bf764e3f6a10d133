using System.Text.Json.Nodes;
using Sluice.Engine.Sampling;
using Sluice.Engine.Text;
using Sluice.Text;

namespace Sluice.Server;

/// <summary>Renders a chat template over <c>messages</c>, <c>tools</c>, <c>add_generation_prompt</c> and whatever else it reads.</summary>
/// <param name="inputs">The template's variables.</param>
public delegate IReadOnlyList<PromptSegment> ChatRenderer(JsonObject inputs);

/// <summary>A model as the server offers it.</summary>
public sealed record ServedModel
{
    /// <summary>The name clients ask for.</summary>
    public required string Id { get; init; }

    /// <summary>What generates its text.</summary>
    public required TextGenerator Generator { get; init; }

    /// <summary>Its chat template; null when it has none, and chat requests are refused.</summary>
    public ChatRenderer? Chat { get; init; }

    /// <summary>Sampling where a request is silent: what generation_config.json suggests.</summary>
    public SamplingOptions Defaults { get; init; } = new();
}
