using System.Text.Json.Nodes;

namespace Sluice.Constraints.Answers;

/// <summary>What the caller of a chat wants an answer to be.</summary>
public sealed record AnswerDemand
{
    /// <summary>What the content must be where the answer is not a call; null: any text.</summary>
    public ConstraintSpec? Content { get; init; }

    /// <summary>The functions that may be called, or, with <see cref="MustCall"/>, of which one must.</summary>
    public IReadOnlyList<CallableFunction> Functions { get; init; } = [];

    /// <summary>Whether the answer must be a call.</summary>
    public bool MustCall { get; init; }

    /// <summary>Whether there may be more calls than one.</summary>
    public bool SeveralCalls { get; init; } = true;

    /// <summary>What demands a call, in the API's own words, for errors.</summary>
    public string CallsField { get; init; } = "tool_choice";
}

/// <summary>A function that a model may call.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Parameters">The JSON schema of its arguments; null where it has none.</param>
public sealed record CallableFunction(string Name, JsonObject? Parameters);
