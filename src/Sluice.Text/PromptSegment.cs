namespace Sluice.Text;

/// <summary>
/// A piece of a rendered prompt and where it came from. Only text the template itself wrote is trusted to contain special tokens;
/// the same characters in a user's message are plain text.
/// </summary>
/// <param name="Text">The characters.</param>
/// <param name="FromTemplate">Whether the template wrote them, rather than a message, a tool or another input.</param>
public readonly record struct PromptSegment(string Text, bool FromTemplate);
