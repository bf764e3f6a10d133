using System.Text.Json.Nodes;
using Sluice.Constraints.Answers;
using Sluice.Engine.Sampling;

namespace Sluice.Server.Chat;

/// <summary>A chat request of whichever API, checked, in the server's own terms.</summary>
internal sealed record ChatCall
{
    /// <summary>The conversation as chat templates read it.</summary>
    public required JsonArray Messages { get; init; }

    public ToolSet Tools { get; init; } = ToolSet.Empty;

    public required TemplateArguments Arguments { get; init; }

    public required SamplingOptions Sampling { get; init; }

    public int? MaxTokens { get; init; }

    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>How many independent answers.</summary>
    public int Choices { get; init; } = 1;

    public AnswerFormat Format { get; init; } = AnswerFormat.Text;

    /// <summary>Whether the prompt ends where the answer is to begin.</summary>
    public bool AwaitsAnswer { get; init; } = true;

    /// <summary>Beginnings of the conversation that will come again.</summary>
    public IReadOnlyList<CacheMark> CacheMarks { get; init; } = [];

    /// <summary>The caller's word for requests whose prompts begin alike.</summary>
    public string? CacheKey { get; init; }

    /// <summary>What the answer must be.</summary>
    public AnswerDemand Demand => new()
    {
        Content = Format.ToConstraint(),
        Functions = Tools.Callable,
        MustCall = Tools.Use is ToolUse.Required or ToolUse.Named,
        SeveralCalls = Tools.Parallel,
    };
}

/// <summary>A place in the conversation: the beginning up to it will come again.</summary>
/// <param name="Message">Index of the message it lies in; -1 for the end of the tools.</param>
/// <param name="Characters">How many characters of that message's content precede it; null for the whole message.</param>
internal readonly record struct CacheMark(int Message, int? Characters = null);
