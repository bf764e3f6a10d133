namespace Sluice.Text.Jinja;

/// <summary>A global function.</summary>
internal sealed class FunctionValue(Builtin builtin) : Value
{
    public override string TypeName => "function";

    public override bool IsCallable => true;

    public override Value Call(RenderContext c, Arguments arguments) => builtin.Invoke(c, NoneValue.Instance, arguments);

    public override void AppendRepr(TextBuilder text) => text.Append($"<function {builtin.Name}>", fromTemplate: false);
}

/// <summary>A method together with the value it belongs to.</summary>
internal sealed class BoundMethod(Value self, Builtin method) : Value
{
    public override string TypeName => "builtin_function_or_method";

    public override bool IsCallable => true;

    public override Value Call(RenderContext c, Arguments arguments) => method.Invoke(c, self, arguments);

    public override void AppendRepr(TextBuilder text) =>
        text.Append($"<built-in method {method.Name} of {self.TypeName} object>", fromTemplate: false);
}

/// <summary>A macro, or the body of a call block, with the variables around its definition.</summary>
internal sealed class MacroValue(Evaluator evaluator, MacroDefinition definition, Scope scope) : Value
{
    public override string TypeName => "Macro";

    public override bool IsCallable => true;

    public override Value? Attribute(RenderContext c, string name) => name switch
    {
        "name" => definition.Name is null ? NoneValue.Instance : StringValue.FromTemplate(definition.Name),
        "arguments" => new TupleValue([.. definition.Parameters.Select(static p => StringValue.FromTemplate(p.Name))]),
        "caller" => BoolValue.Of(definition.UsesCaller),
        "catch_kwargs" => BoolValue.Of(definition.UsesNamedRest),
        "catch_varargs" => BoolValue.Of(definition.UsesPositionalRest),
        _ => null,
    };

    public override Value Call(RenderContext c, Arguments arguments) => evaluator.CallMacro(definition, scope, arguments);

    public override void AppendRepr(TextBuilder text) =>
        text.Append(definition.Name is null ? "<Macro anonymous>" : $"<Macro '{definition.Name}'>", fromTemplate: false);
}

/// <summary>What <c>cycler()</c> gives: items in turn, over and over.</summary>
internal sealed class CyclerValue(Value[] items) : Value
{
    private static readonly Builtin Next = Builtin.Method("next", "", static (_, self, _) => ((CyclerValue)self).Take());

    private static readonly Builtin Reset = Builtin.Method("reset", "", static (_, self, _) => ((CyclerValue)self).Restart());

    private int _position;

    public override string TypeName => "Cycler";

    public override Value? Attribute(RenderContext c, string name) => name switch
    {
        "current" => items[_position],
        "next" => new BoundMethod(this, Next),
        "reset" => new BoundMethod(this, Reset),
        _ => null,
    };

    private Value Take()
    {
        Value item = items[_position];
        _position = (_position + 1) % items.Length;
        return item;
    }

    private NoneValue Restart()
    {
        _position = 0;
        return NoneValue.Instance;
    }
}

/// <summary>What <c>joiner()</c> gives: nothing the first time it is called, then the separator.</summary>
internal sealed class JoinerValue(Value separator) : Value
{
    private bool _used;

    public override string TypeName => "Joiner";

    public override bool IsCallable => true;

    public override Value Call(RenderContext c, Arguments arguments)
    {
        if (_used)
        {
            return separator;
        }

        _used = true;
        return StringValue.Empty;
    }
}
