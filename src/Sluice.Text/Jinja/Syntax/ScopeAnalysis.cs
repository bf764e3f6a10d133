using Sluice.Core;

namespace Sluice.Text.Jinja;

/// <summary>
/// Jinja2 compiles names to Python variables, scope by scope, before it runs anything. Two effects of that are visible to
/// templates and are found here. A variable that a scope assigns without having read it before hides an input of the same name in
/// the whole scope (<see cref="ScopeBody.Hidden"/>). And a filter or test that does not exist is an error at once, unless an
/// <c>if</c> guards it.
/// </summary>
internal static class ScopeAnalysis
{
    /// <summary>Fills in <see cref="ScopeBody.Hidden"/> in the whole template.</summary>
    /// <exception cref="TemplateException">An unguarded filter or test does not exist.</exception>
    public static void Apply(ScopeBody template) => Scope(template, new ScopeSymbols(null));

    private static void Scope(ScopeBody body, ScopeSymbols symbols)
    {
        Read(body.Statements, symbols);
        body.Hidden = symbols.Hidden();
        Descend(body.Statements, symbols, isGuarded: false);
    }

    /// <summary>Records what statements read and assign in their own scope, in the order in which Jinja2 looks at them.</summary>
    private static void Read(IReadOnlyList<Statement> statements, ScopeSymbols symbols)
    {
        foreach (Statement statement in statements)
        {
            switch (statement)
            {
                case PrintStatement print:
                    Read(print.Expression, symbols);
                    break;
                case IfStatement branches:
                    Read(branches, symbols);
                    break;
                case ForStatement loop:
                    Read(loop.Iterable, symbols);
                    break;
                case SetStatement set:
                    Read(set.Value, symbols);
                    Assign(set.Target, symbols);
                    break;
                case CaptureStatement capture:
                    Assign(capture.Target, symbols);
                    break;
                case MacroStatement macro:
                    symbols.Store(macro.Name);
                    break;
                case CallBlockStatement call:
                    Read(call.Call, symbols);
                    break;
                case FilterBlockStatement filter:
                    Read(filter.Filter, symbols);
                    break;
                case WithStatement with:
                    foreach ((Target _, Expression value) in with.Values)
                    {
                        Read(value, symbols);
                    }

                    break;
            }
        }
    }

    private static void Read(IfStatement statement, ScopeSymbols symbols)
    {
        Read(statement.Branches[0].Test, symbols);
        ScopeSymbols then = symbols.Branch();
        Read(statement.Branches[0].Body, then);
        ScopeSymbols others = symbols.Branch();
        foreach (IfBranch branch in statement.Branches.Skip(1))
        {
            Read(branch.Test, others);
            ScopeSymbols body = others.Branch();
            Read(branch.Body, body);
            others.Merge(body);
        }

        ScopeSymbols otherwise = symbols.Branch();
        Read(statement.Otherwise, otherwise);
        symbols.Merge(then, others, otherwise);
    }

    private static void Read(Expression expression, ScopeSymbols symbols)
    {
        if (expression is NameExpression name)
        {
            symbols.Load(name.Name);
        }

        foreach (Expression child in expression.Children)
        {
            Read(child, symbols);
        }
    }

    private static void Assign(Target target, ScopeSymbols symbols)
    {
        switch (target)
        {
            case NameTarget name:
                symbols.Store(name.Name);
                break;
            case NamespaceTarget reference:
                symbols.Load(reference.Namespace);
                break;
            case TupleTarget tuple:
                foreach (Target item in tuple.Items)
                {
                    Assign(item, symbols);
                }

                break;
        }
    }

    private static void Declare(Target target, ScopeSymbols symbols)
    {
        switch (target)
        {
            case NameTarget name:
                symbols.Declare(name.Name);
                break;
            case TupleTarget tuple:
                foreach (Target item in tuple.Items)
                {
                    Declare(item, symbols);
                }

                break;
        }
    }

    /// <summary>Analyses the scopes inside the statements, and checks filters and tests.</summary>
    private static void Descend(IReadOnlyList<Statement> statements, ScopeSymbols symbols, bool isGuarded)
    {
        foreach (Statement statement in statements)
        {
            switch (statement)
            {
                case PrintStatement print:
                    Check(print.Expression, isGuarded);
                    break;
                case IfStatement branches:
                    foreach (IfBranch branch in branches.Branches)
                    {
                        Check(branch.Test, isGuarded: true);
                        Descend(branch.Body, symbols, isGuarded: true);
                    }

                    Descend(branches.Otherwise, symbols, isGuarded: true);
                    break;
                case ForStatement loop:
                    Loop(loop, symbols, isGuarded);
                    break;
                case SetStatement set:
                    Check(set.Value, isGuarded);
                    break;
                case CaptureStatement capture:
                    Check(capture.Filter, isGuarded: false);
                    Scope(capture.Body, new ScopeSymbols(symbols));
                    break;
                case MacroStatement macro:
                    Definition(macro.Definition, symbols);
                    break;
                case CallBlockStatement call:
                    Check(call.Call, isGuarded);
                    Definition(call.Caller, symbols);
                    break;
                case FilterBlockStatement filter:
                    Check(filter.Filter, isGuarded: false);
                    Scope(filter.Body, new ScopeSymbols(symbols));
                    break;
                case WithStatement with:
                    With(with, symbols, isGuarded);
                    break;
                case ScopeStatement scope:
                    Scope(scope.Body, new ScopeSymbols(scope.SeesOnlyTopLevel ? null : symbols));
                    break;
            }
        }
    }

    private static void Loop(ForStatement loop, ScopeSymbols symbols, bool isGuarded)
    {
        Check(loop.Iterable, isGuarded);
        Check(loop.Filter, isGuarded: false);
        ScopeSymbols inner = new(symbols);
        inner.Declare("loop");
        Declare(loop.Target, inner);
        Scope(loop.Body, inner);
        if (loop.Otherwise is not null)
        {
            Scope(loop.Otherwise, new ScopeSymbols(symbols));
        }
    }

    private static void Definition(MacroDefinition definition, ScopeSymbols symbols)
    {
        ScopeSymbols inner = new(symbols);
        foreach (Parameter parameter in definition.Parameters)
        {
            inner.Declare(parameter.Name);
        }

        foreach (Parameter parameter in definition.Parameters)
        {
            if (parameter.Default is not null)
            {
                Read(parameter.Default, inner);
                Check(parameter.Default, isGuarded: false);
            }
        }

        foreach (string special in (ReadOnlySpan<string>)["caller", "varargs", "kwargs"])
        {
            inner.Declare(special);
        }

        Scope(definition.Body, inner);
    }

    private static void With(WithStatement with, ScopeSymbols symbols, bool isGuarded)
    {
        ScopeSymbols inner = new(symbols);
        foreach ((Target target, Expression value) in with.Values)
        {
            Check(value, isGuarded);
            Declare(target, inner);
        }

        Scope(with.Body, inner);
    }

    private static void Check(Expression? expression, bool isGuarded)
    {
        switch (expression)
        {
            case null:
                return;
            case FilterExpression filter when !isGuarded && !Filters.Exists(filter.Name):
                throw new TemplateException($"no filter named '{filter.Name}'", filter.At.Line, filter.At.Column);
            case TestExpression test when !isGuarded && !Tests.Exists(test.Name):
                throw new TemplateException($"no test named '{test.Name}'", test.At.Line, test.At.Column);
        }

        foreach (Expression child in expression.Children)
        {
            Check(child, isGuarded || expression is ConditionalExpression);
        }
    }
}
