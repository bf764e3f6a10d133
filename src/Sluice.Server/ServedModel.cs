using Sluice.Engine.Sampling;
using Sluice.Engine.Text;
using Sluice.Text;
using Sluice.Text.Output;

namespace Sluice.Server;

/// <summary>A model as the server offers it.</summary>
public sealed record ServedModel
{
    /// <summary>The name clients ask for.</summary>
    public required string Id { get; init; }

    /// <summary>What generates its text.</summary>
    public required TextGenerator Generator { get; init; }

    /// <summary>Its chat template; null when it has none, and chat requests are refused.</summary>
    public ChatTemplate? Chat { get; init; }

    /// <summary>
    /// What its output looks like: by default what its template says, and that a model with tokens for the tags thinks between them.
    /// </summary>
    public OutputFormat Output
    {
        get => field ??= Detect();
        init;
    }

    /// <summary>The model's kind, such as <c>qwen3_next</c>, for who asks.</summary>
    public string Family { get; init; } = "";

    /// <summary>Sampling where a request is silent: what generation_config.json suggests.</summary>
    public SamplingOptions Defaults { get; init; } = new();

    private OutputFormat Detect() => Chat is { } template ? OutputFormat.Detect(template, Generator.Tokenizer) : OutputFormat.Plain;
}
