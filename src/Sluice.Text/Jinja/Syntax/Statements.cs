namespace Sluice.Text.Jinja;

internal abstract record Statement(Position At);

/// <summary>Text of the template itself.</summary>
internal sealed record TextStatement(Position At, StringValue Text) : Statement(At);

/// <summary><c>{{ expression }}</c>.</summary>
internal sealed record PrintStatement(Position At, Expression Expression) : Statement(At);

/// <summary>Statements with variables of their own.</summary>
internal sealed record ScopeBody(IReadOnlyList<Statement> Statements)
{
    /// <summary>
    /// Variables the body assigns before it ever reads them: undefined until assigned, even where an input has the same name.
    /// Set once, by <see cref="ScopeAnalysis"/>.
    /// </summary>
    public IReadOnlyList<string> Hidden { get; set; } = [];
}

/// <summary>One <c>if</c> or <c>elif</c>. Branches have no variables of their own.</summary>
internal sealed record IfBranch(Expression Test, IReadOnlyList<Statement> Body);

internal sealed record IfStatement(Position At, IReadOnlyList<IfBranch> Branches, IReadOnlyList<Statement> Otherwise) : Statement(At);

internal sealed record ForStatement(
    Position At, Target Target, Expression Iterable, Expression? Filter, bool IsRecursive, ScopeBody Body, ScopeBody? Otherwise)
    : Statement(At);

internal sealed record SetStatement(Position At, Target Target, Expression Value) : Statement(At);

/// <summary><c>{% set x %}...{% endset %}</c>, with filters or without.</summary>
internal sealed record CaptureStatement(Position At, Target Target, FilterExpression? Filter, ScopeBody Body) : Statement(At);

internal sealed record Parameter(string Name, Expression? Default);

/// <summary>
/// A macro, or the body of a call block, which has no name. The flags say whether the body mentions the special variables
/// <c>caller</c>, <c>varargs</c> and <c>kwargs</c>: only then may it be called with what they hold.
/// </summary>
internal sealed record MacroDefinition(
    string? Name, IReadOnlyList<Parameter> Parameters, ScopeBody Body, bool UsesCaller, bool UsesPositionalRest, bool UsesNamedRest);

internal sealed record MacroStatement(Position At, string Name, MacroDefinition Definition) : Statement(At);

internal sealed record CallBlockStatement(Position At, CallExpression Call, MacroDefinition Caller) : Statement(At);

internal sealed record FilterBlockStatement(Position At, FilterExpression Filter, ScopeBody Body) : Statement(At);

internal sealed record WithStatement(Position At, IReadOnlyList<(Target Target, Expression Value)> Values, ScopeBody Body) : Statement(At);

/// <summary>A body with a scope of its own: <c>{% generation %}</c>, which marks the assistant's words, and <c>{% block %}</c>.</summary>
internal sealed record ScopeStatement(Position At, ScopeBody Body, bool SeesOnlyTopLevel) : Statement(At);

internal sealed record LoopControlStatement(Position At, Flow Flow) : Statement(At);

/// <summary>How a statement ended: normally, or by leaving the loop or its iteration.</summary>
internal enum Flow
{
    Normal,
    Break,
    Continue,
}

/// <summary>What can be assigned to.</summary>
internal abstract record Target(Position At);

internal sealed record NameTarget(Position At, string Name) : Target(At);

/// <summary><c>ns.name</c> in a <c>set</c>.</summary>
internal sealed record NamespaceTarget(Position At, string Namespace, string Name) : Target(At);

internal sealed record TupleTarget(Position At, IReadOnlyList<Target> Items) : Target(At);
