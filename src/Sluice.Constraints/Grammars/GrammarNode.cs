namespace Sluice.Constraints.Grammars;

/// <summary>A piece of a context-free grammar whose leaves are automata and single tokens.</summary>
internal abstract record GrammarNode
{
    /// <summary>The empty text.</summary>
    public static GrammarNode Empty { get; } = new SequenceNode([]);

    /// <summary>Nothing, not even the empty text.</summary>
    public static GrammarNode Nothing { get; } = new ChoiceNode([]);

    public static GrammarNode Sequence(params GrammarNode[] parts) => parts.Length == 1 ? parts[0] : new SequenceNode(parts);

    public static GrammarNode Choice(params GrammarNode[] parts) => parts.Length == 1 ? parts[0] : new ChoiceNode(parts);

    public static GrammarNode Of(Terminal? terminal) => terminal is null ? Nothing : new TerminalNode(terminal);

    public GrammarNode Optional() => new RepeatNode(this, 0, 1);

    /// <summary>This, repeated; a <paramref name="max"/> of null means any number.</summary>
    public GrammarNode Repeat(int min, int? max) => new RepeatNode(this, min, max);
}

/// <summary>Text of a terminal.</summary>
internal sealed record TerminalNode(Terminal Terminal) : GrammarNode;

/// <summary>This one added token, which is not part of any text.</summary>
internal sealed record TokenNode(int Token) : GrammarNode;

/// <summary>One part after the other.</summary>
internal sealed record SequenceNode(IReadOnlyList<GrammarNode> Parts) : GrammarNode;

/// <summary>One of the parts.</summary>
internal sealed record ChoiceNode(IReadOnlyList<GrammarNode> Parts) : GrammarNode;

/// <summary>A part, some number of times.</summary>
internal sealed record RepeatNode(GrammarNode Part, int Min, int? Max) : GrammarNode;

/// <summary>What a rule stands for.</summary>
internal sealed record RuleNode(Rule Rule) : GrammarNode;

/// <summary>A named piece that others, and itself, may use.</summary>
internal sealed class Rule(string name)
{
    public string Name { get; } = name;

    public GrammarNode Body { get; set; } = GrammarNode.Nothing;

    public override string ToString() => Name;
}
