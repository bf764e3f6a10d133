using Sluice.Engine.Text;

namespace Sluice.Server.Chat;

/// <summary>A piece of an answer as it comes: thinking, content, the beginning of a call, or more of its arguments.</summary>
internal abstract record AnswerPart;

/// <summary>More of the thinking.</summary>
internal sealed record ReasoningPart(string Text) : AnswerPart;

/// <summary>More of the content, and the tokens it came from where log-probabilities are wanted.</summary>
internal sealed record ContentPart(string Text, IReadOnlyList<TextToken> Tokens) : AnswerPart;

/// <summary>A call begins; its arguments follow.</summary>
/// <param name="Index">Its place among the calls, from 0.</param>
/// <param name="Id">What its result will refer to.</param>
/// <param name="Name">The function's name.</param>
internal sealed record CallPart(int Index, string Id, string Name) : AnswerPart;

/// <summary>More of a call's arguments, which together are JSON.</summary>
internal sealed record ArgumentsPart(int Index, string Text) : AnswerPart;

/// <summary>Why an answer ended.</summary>
internal enum AnswerReason
{
    Stop,
    Length,
    ToolCalls,
}

/// <summary>How an answer ended.</summary>
/// <param name="Reason">Why.</param>
/// <param name="StopString">The caller's stop string, if one ended it.</param>
/// <param name="Usage">The tokens it took.</param>
/// <param name="Text">What the engine says about it.</param>
internal sealed record AnswerEnd(AnswerReason Reason, string? StopString, TokenUsage Usage, TextCompletion Text)
{
    /// <summary>OpenAI's word for the reason.</summary>
    public string FinishReason => Reason switch
    {
        AnswerReason.Length => "length",
        AnswerReason.ToolCalls => "tool_calls",
        _ => "stop",
    };
}
