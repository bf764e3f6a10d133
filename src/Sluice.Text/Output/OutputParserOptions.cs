namespace Sluice.Text.Output;

/// <summary>How one output is to be read.</summary>
public sealed record OutputParserOptions
{
    /// <summary>
    /// The tools that the model may call; what looks like a call of any other is text. Empty: there are no calls. Null: they are not
    /// known, and any name will do.
    /// </summary>
    public IReadOnlyList<ToolSignature>? Tools { get; init; } = [];

    /// <summary>Whether the prompt has opened the reasoning: <see cref="OutputFormat.StartsInReasoning"/>.</summary>
    public bool StartsInReasoning { get; init; }

    /// <summary>
    /// Whether arguments are passed on as they come. If not, a call comes out whole once it is complete, and one that goes wrong
    /// becomes text in full.
    /// </summary>
    public bool StreamArguments { get; init; } = true;

    /// <summary>Makes the ids of calls.</summary>
    public Func<string> CreateCallId { get; init; } = ToolCallId.Create;
}
