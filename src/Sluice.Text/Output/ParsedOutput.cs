using System.Text;

namespace Sluice.Text.Output;

/// <summary>A call of a tool.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Name">The tool.</param>
/// <param name="Arguments">JSON text; an object if <paramref name="IsComplete"/>.</param>
/// <param name="IsComplete">Whether the model finished it.</param>
public sealed record ToolCall(string Id, string Name, string Arguments, bool IsComplete);

/// <summary>An output put together from its parts.</summary>
/// <param name="Reasoning">The reasoning; empty if there was none.</param>
/// <param name="Content">The answer; empty if there was none, as is usual beside calls.</param>
/// <param name="ToolCalls">The calls, in order.</param>
public sealed record ParsedOutput(string Reasoning, string Content, IReadOnlyList<ToolCall> ToolCalls)
{
    /// <summary>Puts parts together.</summary>
    public static ParsedOutput Of(IEnumerable<OutputPart> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        var reasoning = new StringBuilder();
        var content = new StringBuilder();
        var arguments = new StringBuilder();
        List<ToolCall> calls = [];
        foreach (OutputPart part in parts)
        {
            switch (part.Kind)
            {
                case OutputPartKind.Reasoning:
                    reasoning.Append(part.Text);
                    break;
                case OutputPartKind.Content:
                    content.Append(part.Text);
                    break;
                case OutputPartKind.ToolCallStart:
                    calls.Add(new ToolCall(part.Id!, part.Text, "", IsComplete: false));
                    break;
                case OutputPartKind.ToolCallArguments:
                    arguments.Append(part.Text);
                    break;
                default:
                    calls[^1] = calls[^1] with { Arguments = arguments.ToString(), IsComplete = part.IsComplete };
                    arguments.Clear();
                    break;
            }
        }

        return new ParsedOutput(reasoning.ToString(), content.ToString(), calls);
    }
}
