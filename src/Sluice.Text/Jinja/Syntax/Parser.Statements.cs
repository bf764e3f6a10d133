using Sluice.Core;

namespace Sluice.Text.Jinja;

/// <content>Text, print statements and everything between <c>{%</c> and <c>%}</c>.</content>
internal sealed partial class Parser
{
    private readonly Stack<MacroMentions> _macros = new();

    // Tags waiting to be closed, innermost last: what an unexpected end or tag is explained by.
    private readonly Stack<string> _open = new();

    // Loops that "break" can leave here, and all "for" blocks around, "else" parts and macros between included.
    private int _loops;
    private int _openLoops;

    // Whether the body of the macro being parsed mentions the special variables.
    private sealed class MacroMentions
    {
        public bool Caller { get; set; }

        public bool PositionalRest { get; set; }

        public bool NamedRest { get; set; }
    }

    /// <summary>Statements up to one of the tags in <paramref name="ends"/>, which is left as the current token.</summary>
    private List<Statement> Statements(ReadOnlySpan<string> ends)
    {
        List<Statement> statements = [];
        while (Current.Kind != TokenKind.End)
        {
            Token token = Next();
            switch (token.Kind)
            {
                case TokenKind.Data:
                    statements.Add(new TextStatement(token.At, StringValue.FromTemplate(token.Text)));
                    break;
                case TokenKind.VariableBegin:
                    statements.Add(new PrintStatement(token.At, TupleOrExpression()));
                    Expect(TokenKind.VariableEnd, "end of print statement");
                    break;
                default:
                    if (Current.Kind == TokenKind.Name && ends.Contains(Current.Text))
                    {
                        return statements;
                    }

                    Enter(token.At);
                    Statement(statements);
                    Leave();
                    Expect(TokenKind.BlockEnd, "end of statement block");
                    break;
            }
        }

        if (ends.Length > 0)
        {
            string expected = string.Join("' or '", ends.ToArray());
            throw Fail($"unexpected end of template; expected '{expected}' to close '{_open.Peek()}'", Current.At);
        }

        return statements;
    }

    /// <summary>The end of an opening tag, then statements up to one of <paramref name="ends"/>.</summary>
    private List<Statement> Body(params ReadOnlySpan<string> ends)
    {
        Skip(TokenKind.Colon);
        Expect(TokenKind.BlockEnd, "end of statement block");
        return Statements(ends);
    }

    /// <summary>A body that ends with <paramref name="end"/>, which is consumed.</summary>
    private ScopeBody ClosedBody(string end)
    {
        ScopeBody body = new(Body(end));
        Next();
        return body;
    }

    private void Statement(List<Statement> statements)
    {
        Token tag = Current.Kind == TokenKind.Name ? Next() : throw Fail($"expected a tag, got {Current.Describe()}", Current.At);
        _open.Push(tag.Text);
        switch (tag.Text)
        {
            case "if":
                statements.Add(If(tag.At));
                break;
            case "for":
                statements.Add(For(tag.At));
                break;
            case "set":
                statements.Add(Set(tag.At));
                break;
            case "macro":
                statements.Add(Macro(tag.At));
                break;
            case "call":
                statements.Add(CallBlock(tag.At));
                break;
            case "filter":
                statements.Add(FilterBlock(tag.At));
                break;
            case "with":
                statements.Add(With(tag.At));
                break;
            case "generation":
                statements.Add(new ScopeStatement(tag.At, ClosedOutsideLoops("endgeneration"), SeesOnlyTopLevel: false));
                break;
            case "block":
                statements.Add(Block(tag.At));
                break;
            case "print":
                Print(tag.At, statements);
                break;
            case "break" or "continue":
                statements.Add(LoopControl(tag));
                break;
            case "extends" or "include" or "import" or "from":
                throw Fail($"'{tag.Text}' needs another template, and a chat template stands alone", tag.At);
            default:
                _open.Pop();
                throw UnknownTag(tag);
        }

        _open.Pop();
    }

    private TemplateException UnknownTag(Token tag)
    {
        string innermost = _open.Count > 0 ? $"; the innermost open block is '{_open.Peek()}'" : "";
        return Fail($"unknown tag '{tag.Text}'{innermost}", tag.At);
    }

    private IfStatement If(Position at)
    {
        List<IfBranch> branches = [];
        List<Statement> otherwise = [];
        while (true)
        {
            Expression test = TupleOrExpression(withConditional: false);
            branches.Add(new IfBranch(test, Body("elif", "else", "endif")));
            Token end = Next();
            if (end.IsName("else"))
            {
                otherwise = Body("endif");
                Next();
            }

            if (!end.IsName("elif"))
            {
                return new IfStatement(at, branches, otherwise);
            }
        }
    }

    private ForStatement For(Position at)
    {
        Target target = AssignTarget(withNamespace: false, endsAtIn: true);
        RefuseLoopAsTarget(target);
        ExpectName("in");
        Expression iterable = TupleOrExpression(withConditional: false, endsAtRecursive: true);
        Expression? filter = SkipName("if") ? Expression() : null;
        bool isRecursive = SkipName("recursive");
        _loops++;
        _openLoops++;
        ScopeBody body = new(Body("endfor", "else"));
        _loops--;
        ScopeBody? otherwise = !Next().IsName("else") ? null : isRecursive ? ClosedOutsideLoops("endfor") : ClosedBody("endfor");
        _openLoops--;
        return new ForStatement(at, target, iterable, filter, isRecursive, body, otherwise);
    }

    private Statement Set(Position at)
    {
        Target target = AssignTarget(withNamespace: true);
        if (_openLoops > 0)
        {
            RefuseLoopAsTarget(target);
        }

        if (Skip(TokenKind.Assign))
        {
            return new SetStatement(at, target, TupleOrExpression());
        }

        FilterExpression? filter = Current.Kind == TokenKind.Pipe ? Filters(null) : null;
        return new CaptureStatement(at, target, filter, ClosedBody("endset"));
    }

    private static void RefuseLoopAsTarget(Target target)
    {
        switch (target)
        {
            case NameTarget { Name: "loop" }:
                throw Fail("cannot assign to the special variable 'loop' of a for-loop", target.At);
            case TupleTarget tuple:
                foreach (Target item in tuple.Items)
                {
                    RefuseLoopAsTarget(item);
                }

                break;
        }
    }

    private MacroStatement Macro(Position at)
    {
        Token name = NameOnlyTarget();
        return new MacroStatement(at, name.Text, Definition(name.Text, Signature(), "endmacro"));
    }

    private CallBlockStatement CallBlock(Position at)
    {
        List<Parameter> parameters = Current.Kind == TokenKind.LeftParenthesis ? Signature() : [];
        CallExpression call = Expression() as CallExpression ?? throw Fail("expected a call after 'call'", at);
        return new CallBlockStatement(at, call, Definition(null, parameters, "endcall"));
    }

    private MacroDefinition Definition(string? name, List<Parameter> parameters, string end)
    {
        MacroMentions mentions = new();
        _macros.Push(mentions);
        ScopeBody body = ClosedOutsideLoops(end);
        _macros.Pop();
        bool Declares(string special) => parameters.Exists(p => string.Equals(p.Name, special, StringComparison.Ordinal));
        return new MacroDefinition(
            name,
            parameters,
            body,
            mentions.Caller && !Declares("caller"),
            mentions.PositionalRest && !Declares("varargs"),
            mentions.NamedRest && !Declares("kwargs"));
    }

    /// <summary>A body that is a function of its own, so that <c>break</c> in it cannot reach a loop around it.</summary>
    private ScopeBody ClosedOutsideLoops(string end)
    {
        int loops = _loops;
        _loops = 0;
        ScopeBody body = ClosedBody(end);
        _loops = loops;
        return body;
    }

    private List<Parameter> Signature()
    {
        List<Parameter> parameters = [];
        HashSet<string> names = new(StringComparer.Ordinal);
        Expect(TokenKind.LeftParenthesis, "'('");
        while (Current.Kind != TokenKind.RightParenthesis)
        {
            if (parameters.Count > 0)
            {
                Expect(TokenKind.Comma, "','");
            }

            Token name = NameOnlyTarget();
            if (!names.Add(name.Text))
            {
                throw Fail($"parameter '{name.Text}' appears twice", name.At);
            }

            Expression? value = Skip(TokenKind.Assign) ? Expression() : null;
            if (value is null && parameters is [.., { Default: not null }])
            {
                throw Fail("a parameter without a default follows one with a default", name.At);
            }

            if (value is null && name.Text is "caller")
            {
                throw Fail("the special parameter 'caller' must be omitted or be given a default", name.At);
            }

            parameters.Add(new Parameter(name.Text, value));
        }

        Next();
        return parameters;
    }

    private FilterBlockStatement FilterBlock(Position at) => new(at, Filters(Filter(null)), ClosedBody("endfilter"));

    private WithStatement With(Position at)
    {
        List<(Target Target, Expression Value)> values = [];
        while (Current.Kind != TokenKind.BlockEnd)
        {
            if (values.Count > 0)
            {
                Expect(TokenKind.Comma, "','");
            }

            Target target = AssignTarget(withNamespace: false);
            Expect(TokenKind.Assign, "'='");
            values.Add((target, Expression()));
        }

        return new WithStatement(at, values, ClosedBody("endwith"));
    }

    private ScopeStatement Block(Position at)
    {
        string name = Expect(TokenKind.Name, "the block's name").Text;
        bool isScoped = SkipName("scoped");
        ScopeBody body = ClosedOutsideLoops("endblock");
        SkipName(name);
        return new ScopeStatement(at, body, SeesOnlyTopLevel: !isScoped);
    }

    private void Print(Position at, List<Statement> statements)
    {
        for (bool first = true; Current.Kind != TokenKind.BlockEnd; first = false)
        {
            if (!first)
            {
                Expect(TokenKind.Comma, "','");
            }

            statements.Add(new PrintStatement(at, Expression()));
        }
    }

    private LoopControlStatement LoopControl(Token tag) => _loops > 0
        ? new LoopControlStatement(tag.At, tag.IsName("break") ? Flow.Break : Flow.Continue)
        : throw Fail($"'{tag.Text}' outside a loop", tag.At);
}
