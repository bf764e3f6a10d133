namespace Sluice.Text.Output;

/// <summary>What an <see cref="OutputPart"/> is.</summary>
public enum OutputPartKind
{
    /// <summary>More of the reasoning.</summary>
    Reasoning,

    /// <summary>More of the answer.</summary>
    Content,

    /// <summary>A call begins; its name is complete.</summary>
    ToolCallStart,

    /// <summary>More of a call's arguments, as JSON text. All of a complete call's together are one JSON object.</summary>
    ToolCallArguments,

    /// <summary>A call ends.</summary>
    ToolCallEnd,
}

/// <summary>A piece of a model's output, in the order in which the model wrote it.</summary>
public readonly record struct OutputPart
{
    private OutputPart(OutputPartKind kind, string text, int index = -1, string? id = null, bool isComplete = true)
    {
        Kind = kind;
        Text = text;
        Index = index;
        Id = id;
        IsComplete = isComplete;
    }

    /// <summary>What it is.</summary>
    public OutputPartKind Kind { get; }

    /// <summary>Text of reasoning, content or arguments, never empty; the name, where a call begins; empty where it ends.</summary>
    public string Text { get; }

    /// <summary>Which call of the output it belongs to, from 0; -1 for reasoning and content.</summary>
    public int Index { get; }

    /// <summary>The call's id, where it begins; else null.</summary>
    public string? Id { get; }

    /// <summary>False only where a call ends that went wrong after it had begun: its arguments are not whole and must not be used.</summary>
    public bool IsComplete { get; }

    /// <summary>More of the reasoning.</summary>
    public static OutputPart Reasoning(string text) => new(OutputPartKind.Reasoning, text);

    /// <summary>More of the answer.</summary>
    public static OutputPart Content(string text) => new(OutputPartKind.Content, text);

    /// <summary>The beginning of a call.</summary>
    public static OutputPart CallStart(int index, string id, string name) => new(OutputPartKind.ToolCallStart, name, index, id);

    /// <summary>More of a call's arguments.</summary>
    public static OutputPart CallArguments(int index, string json) => new(OutputPartKind.ToolCallArguments, json, index);

    /// <summary>The end of a call.</summary>
    public static OutputPart CallEnd(int index, bool isComplete) => new(OutputPartKind.ToolCallEnd, "", index, isComplete: isComplete);
}
