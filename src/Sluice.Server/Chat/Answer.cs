using System.Text;
using Sluice.Engine.Text;

namespace Sluice.Server.Chat;

/// <summary>A whole answer.</summary>
/// <param name="Content">The content; empty if there is none.</param>
/// <param name="Reasoning">The thinking; empty if there is none.</param>
/// <param name="Calls">The calls.</param>
/// <param name="Tokens">The content's tokens where log-probabilities are wanted, else empty.</param>
/// <param name="End">How it ended.</param>
internal sealed record Answer(
    string Content, string Reasoning, IReadOnlyList<AnswerCall> Calls, IReadOnlyList<TextToken> Tokens, AnswerEnd End);

/// <summary>A call in an answer.</summary>
/// <param name="Id">What its result will refer to.</param>
/// <param name="Name">The function's name.</param>
/// <param name="Arguments">JSON; cut short where the answer was.</param>
internal sealed record AnswerCall(string Id, string Name, string Arguments);

/// <summary>Puts an answer together from its parts.</summary>
internal sealed class AnswerBuilder
{
    private readonly StringBuilder _content = new();
    private readonly StringBuilder _reasoning = new();
    private readonly List<(CallPart Call, StringBuilder Arguments)> _calls = [];
    private readonly List<TextToken> _tokens = [];

    public void Add(AnswerPart part)
    {
        switch (part)
        {
            case ReasoningPart reasoning:
                _reasoning.Append(reasoning.Text);
                break;
            case ContentPart content:
                _content.Append(content.Text);
                _tokens.AddRange(content.Tokens);
                break;
            case CallPart call:
                _calls.Add((call, new StringBuilder()));
                break;
            case ArgumentsPart arguments:
                _calls[arguments.Index].Arguments.Append(arguments.Text);
                break;
        }
    }

    /// <summary>The calls so far.</summary>
    public IReadOnlyList<AnswerCall> Calls => [.. _calls.Select(c => new AnswerCall(c.Call.Id, c.Call.Name, c.Arguments.ToString()))];

    public Answer Build(AnswerEnd end) => new(_content.ToString(), _reasoning.ToString(), Calls, _tokens, end);
}
