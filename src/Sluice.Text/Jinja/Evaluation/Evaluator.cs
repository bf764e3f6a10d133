namespace Sluice.Text.Jinja;

/// <summary>
/// Walks the syntax tree. Text goes to the current builder: the prompt, or what a macro, a <c>set</c> block or a filter block
/// captures.
/// </summary>
internal sealed partial class Evaluator(RenderContext c, TextBuilder output)
{
    private TextBuilder _output = output;

    // The text a filter or set block captured, for the filters applied to it.
    private StringValue? _captured;

    /// <summary>Renders the template's top level.</summary>
    public void Run(ScopeBody template, Scope inputs) => Execute(template, new Scope(inputs));

    private Flow Execute(ScopeBody body, Scope scope)
    {
        c.Spend(body.Hidden.Count);
        foreach (string name in body.Hidden)
        {
            scope.Set(name, UndefinedValue.Variable(name));
        }

        return Execute(body.Statements, scope);
    }

    private Flow Execute(IReadOnlyList<Statement> statements, Scope scope)
    {
        c.Enter();
        Flow flow = Flow.Normal;
        for (int i = 0; i < statements.Count && flow == Flow.Normal; i++)
        {
            Statement statement = statements[i];
            c.At = statement.At;
            c.Spend(1);
            flow = Execute(statement, scope);
        }

        c.Leave();
        return flow;
    }

    private Flow Execute(Statement statement, Scope scope)
    {
        switch (statement)
        {
            case TextStatement text:
                _output.Append(text.Text);
                return Flow.Normal;
            case PrintStatement print:
                Value value = Evaluate(print.Expression, scope);
                c.At = print.At;
                _output.Append(value);
                return Flow.Normal;
            case IfStatement branches:
                return If(branches, scope);
            case ForStatement loop:
                return For(loop, scope);
            case SetStatement set:
                Assign(set.Target, Evaluate(set.Value, scope), scope);
                return Flow.Normal;
            case CaptureStatement capture:
                return Capture(capture, scope);
            case MacroStatement macro:
                scope.Set(macro.Name, Macro(macro.Definition, scope));
                return Flow.Normal;
            case CallBlockStatement call:
                _output.Append(Call(call.Call, scope, Macro(call.Caller, scope)));
                return Flow.Normal;
            case FilterBlockStatement filter:
                return FilterBlock(filter, scope);
            case WithStatement with:
                return With(with, scope);
            case ScopeStatement block:
                return Execute(block.Body, new Scope(block.SeesOnlyTopLevel ? scope.TopLevel : scope));
            case LoopControlStatement control:
                return control.Flow;
            default:
                throw c.Fail($"statement {statement.GetType().Name} is not implemented");
        }
    }

    private Flow If(IfStatement statement, Scope scope)
    {
        foreach (IfBranch branch in statement.Branches)
        {
            if (Evaluate(branch.Test, scope).IsTrue)
            {
                return Execute(branch.Body, scope);
            }
        }

        return Execute(statement.Otherwise, scope);
    }

    private Flow For(ForStatement statement, Scope scope)
    {
        Value iterable = Evaluate(statement.Iterable, scope);
        c.At = statement.Iterable.At;
        return Loop(statement, iterable, scope, depth0: 0);
    }

    private Flow Loop(ForStatement statement, Value iterable, Scope scope, int depth0)
    {
        IEnumerable<Value> items = c.Each(iterable);
        if (statement.Filter is not null)
        {
            items = Filtered(statement, items, scope);
        }

        Func<Value, int, Value>? recurse = statement.IsRecursive ? (inner, depth) => Recurse(statement, inner, scope, depth) : null;
        using IEnumerator<Value> enumerator = items.GetEnumerator();
        c.AllocateObject(256);
        LoopValue loop = new(c, statement.Filter is null ? iterable : null, enumerator, depth0, recurse);
        bool finishedOne = false;
        Flow flow = Flow.Normal;
        while (flow != Flow.Break && loop.Advance() is { } item)
        {
            c.Spend(1);
            Scope iteration = new(scope);
            iteration.Set("loop", loop);
            c.At = statement.At;
            Assign(statement.Target, item, iteration);
            flow = Execute(statement.Body, iteration);
            finishedOne |= flow == Flow.Normal;
            c.At = statement.At;
        }

        // In Jinja2 "else" also follows a loop none of whose iterations reached its end for break or continue.
        return finishedOne || statement.Otherwise is null ? Flow.Normal : Execute(statement.Otherwise, new Scope(scope));
    }

    private IEnumerable<Value> Filtered(ForStatement statement, IEnumerable<Value> items, Scope scope)
    {
        foreach (Value item in items)
        {
            Scope test = new(scope);
            Assign(statement.Target, item, test);
            c.Enter();
            bool isWanted = Evaluate(statement.Filter!, test).IsTrue;
            c.Leave();
            if (isWanted)
            {
                yield return item;
            }
        }
    }

    private StringValue Recurse(ForStatement statement, Value iterable, Scope scope, int depth)
    {
        c.EnterMacro();
        StringValue text = Captured(() => Loop(statement, iterable, scope, depth), out _);
        c.LeaveMacro();
        return text;
    }

    private Flow Capture(CaptureStatement statement, Scope scope)
    {
        StringValue text = Captured(() => Execute(statement.Body, new Scope(scope)), out Flow flow);
        if (flow != Flow.Normal)
        {
            return flow;
        }

        Value value = statement.Filter is null ? text : Filter(statement.Filter, text, scope);
        c.At = statement.At;
        Assign(statement.Target, value, scope);
        return Flow.Normal;
    }

    private Flow FilterBlock(FilterBlockStatement statement, Scope scope)
    {
        StringValue text = Captured(() => Execute(statement.Body, new Scope(scope)), out Flow flow);
        if (flow == Flow.Normal)
        {
            _output.Append(Filter(statement.Filter, text, scope));
        }

        return flow;
    }

    private Value Filter(FilterExpression filter, StringValue text, Scope scope)
    {
        StringValue? outer = _captured;
        _captured = text;
        Value value = Evaluate(filter, scope);
        _captured = outer;
        return value;
    }

    private Flow With(WithStatement statement, Scope scope)
    {
        Scope inner = new(scope);
        foreach ((Target target, Expression value) in statement.Values)
        {
            Assign(target, Evaluate(value, scope), inner);
        }

        return Execute(statement.Body, inner);
    }

    /// <summary>What <paramref name="run"/> writes, as a value.</summary>
    private StringValue Captured(Func<Flow> run, out Flow flow)
    {
        TextBuilder outer = _output;
        _output = c.NewText();
        flow = run();
        StringValue text = _output.ToValue();
        _output = outer;
        return text;
    }

    private void Assign(Target target, Value value, Scope scope)
    {
        switch (target)
        {
            case NameTarget name:
                scope.Set(name.Name, value);
                break;
            case NamespaceTarget reference:
                c.At = reference.At;
                NamespaceValue members = scope.Find(reference.Namespace) as NamespaceValue
                    ?? throw c.Fail($"cannot assign attribute '{reference.Name}' on non-namespace object '{reference.Namespace}'");
                members.Set(c, reference.Name, value);
                break;
            case TupleTarget tuple:
                Unpack(tuple, value, scope);
                break;
        }
    }

    private void Unpack(TupleTarget target, Value value, Scope scope)
    {
        Value[] items = c.ToArray(value);
        if (items.Length != target.Items.Count)
        {
            throw c.Fail(items.Length < target.Items.Count
                ? $"not enough values to unpack (expected {target.Items.Count}, got {items.Length})"
                : $"too many values to unpack (expected {target.Items.Count}, got {items.Length})");
        }

        for (int i = 0; i < items.Length; i++)
        {
            Assign(target.Items[i], items[i], scope);
        }
    }
}
