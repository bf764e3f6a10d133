namespace Sluice.Text.Output;

/// <summary>How a model marks its reasoning.</summary>
public enum ReasoningStyle
{
    /// <summary>Not at all: everything is the answer.</summary>
    None,

    /// <summary><c>&lt;think&gt;</c> ... <c>&lt;/think&gt;</c> before the answer.</summary>
    ThinkTags,
}

/// <summary>How a model writes calls of tools.</summary>
public enum ToolCallStyle
{
    /// <summary>Not at all, or in a form that is not known here: everything is text.</summary>
    None,

    /// <summary><c>&lt;tool_call&gt;</c>, <c>{"name": ..., "arguments": {...}}</c>, <c>&lt;/tool_call&gt;</c>: Hermes, Qwen2.5, Qwen3, Qwen3-Next.</summary>
    Json,

    /// <summary>
    /// <c>&lt;tool_call&gt;&lt;function=name&gt;&lt;parameter=key&gt;</c>value<c>&lt;/parameter&gt;&lt;/function&gt;&lt;/tool_call&gt;</c>, each tag and value on lines of
    /// its own: Qwen3-Coder, Qwen3.5.
    /// </summary>
    Xml,
}

/// <summary>What a model's output looks like. <see cref="Detect(ChatTemplate, Tokenizer)"/> reads it off the chat template; any other value overrides that.</summary>
/// <param name="Reasoning">How reasoning is marked.</param>
/// <param name="ToolCalls">How calls are written.</param>
public sealed record OutputFormat(ReasoningStyle Reasoning, ToolCallStyle ToolCalls)
{
    // How far after its tag the JSON of a call begins in the source of a template that writes it in pieces.
    private const int Window = 64;

    private const int TailLength = 64;

    /// <summary>Text and nothing else: for models without a template, and for completions without a conversation.</summary>
    public static OutputFormat Plain { get; } = new(ReasoningStyle.None, ToolCallStyle.None);

    /// <summary>
    /// What the template's own text says of the form in which it shows reasoning and calls to the model. A form it does not name is
    /// <c>None</c>: the model cannot have been told of it, and its text stays text.
    /// </summary>
    public static OutputFormat Detect(string chatTemplateSource)
    {
        ArgumentNullException.ThrowIfNull(chatTemplateSource);
        bool thinks = chatTemplateSource.Contains(Tags.ThinkEnd, StringComparison.Ordinal);
        return new OutputFormat(thinks ? ReasoningStyle.ThinkTags : ReasoningStyle.None, DetectToolCalls(chatTemplateSource));
    }

    /// <summary>
    /// What <paramref name="template"/> says; its template for tools counts where it has one. A model whose vocabulary has the tags of
    /// reasoning may think even though its template does not speak of it.
    /// </summary>
    public static OutputFormat Detect(ChatTemplate template, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(template);
        ArgumentNullException.ThrowIfNull(tokenizer);
        OutputFormat format = Detect(template.Source);
        if (template.ToolUseSource is { } toolUse)
            format = format with { ToolCalls = DetectToolCalls(toolUse) };
        bool thinks = tokenizer.TryGetId(Tags.Think, out _) && tokenizer.TryGetId(Tags.ThinkEnd, out _);
        return thinks ? format with { Reasoning = ReasoningStyle.ThinkTags } : format;
    }

    /// <summary>
    /// Whether the template has opened the reasoning already, so that the output begins inside it. Text of messages that looks like
    /// a tag does not count.
    /// </summary>
    public bool StartsInReasoning(IReadOnlyList<PromptSegment> prompt)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        if (Reasoning == ReasoningStyle.None)
            return false;
        string tail = "";
        for (int i = prompt.Count - 1; i >= 0 && prompt[i].FromTemplate && tail.Length < TailLength; i--)
            tail = prompt[i].Text + tail;
        return tail.AsSpan().TrimEnd().EndsWith(Tags.Think, StringComparison.Ordinal);
    }

    private static ToolCallStyle DetectToolCalls(string source)
    {
        if (!source.Contains(Tags.ToolCall, StringComparison.Ordinal))
            return ToolCallStyle.None;
        if (source.Contains(Tags.Function, StringComparison.Ordinal) && source.Contains(Tags.Parameter, StringComparison.Ordinal))
            return ToolCallStyle.Xml;
        for (int at = source.IndexOf(Tags.ToolCall, StringComparison.Ordinal); at >= 0; at = source.IndexOf(Tags.ToolCall, at + 1, StringComparison.Ordinal))
        {
            ReadOnlySpan<char> next = source.AsSpan(at, Math.Min(Window, source.Length - at));
            if (next.Contains("\"name", StringComparison.Ordinal))
                return ToolCallStyle.Json;
        }

        return ToolCallStyle.None;
    }
}
