namespace Sluice.Caching.Planning;

/// <summary>
/// Where a prompt's parts lie, in tokens, as its template and its client say. All positions are optional hints: the planner checks
/// them against the prompt.
/// </summary>
public readonly ref struct PromptLayout
{
    /// <summary>Describes a prompt of <paramref name="length"/> tokens of which nothing else is known.</summary>
    public PromptLayout(int length)
    {
        Length = length;
        GenerationPrefix = length;
    }

    /// <summary>Tokens.</summary>
    public int Length { get; }

    /// <summary>
    /// Where messages begin, ascending. The first one after 0 ends the system prompt and the tools; one at 0 says that there are none.
    /// </summary>
    public ReadOnlySpan<int> TurnStarts { get; init; }

    /// <summary>Where the last message of the user begins; 0 when there is none. Templates strip old thinking from there on.</summary>
    public int LastUserTurn { get; init; }

    /// <summary>Where the template's generation prefix (the header of the answer) begins; <see cref="Length"/> when there is none.</summary>
    public int GenerationPrefix { get; init; }

    /// <summary>Ends of what the client asked to be cached (<c>cache_control</c>), ascending.</summary>
    public ReadOnlySpan<int> Breakpoints { get; init; }
}
