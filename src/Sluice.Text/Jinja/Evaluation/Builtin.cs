namespace Sluice.Text.Jinja;

/// <summary>A filter, test, method or global function: what it is called, what it takes and what it does.</summary>
internal sealed class Builtin
{
    private readonly Signature? _signature;
    private readonly Func<RenderContext, Value, Bound, Value>? _body;
    private readonly Func<RenderContext, Value, Arguments, Value>? _variadic;

    private Builtin(
        string name,
        Signature? signature,
        Func<RenderContext, Value, Bound, Value>? body,
        Func<RenderContext, Value, Arguments, Value>? variadic)
    {
        Name = name;
        _signature = signature;
        _body = body;
        _variadic = variadic;
    }

    public string Name { get; }

    /// <summary>With parameters as <see cref="Signature"/> writes them; the value filtered, tested or called on is not one.</summary>
    public static Builtin Define(string name, string parameters, Func<RenderContext, Value, Bound, Value> body) =>
        new(name, new Signature(name, parameters), body, null);

    /// <summary>Like <see cref="Define"/>, but parameters cannot be given by name.</summary>
    public static Builtin Method(string name, string parameters, Func<RenderContext, Value, Bound, Value> body) =>
        new(name, new Signature(name, parameters, positionalOnly: true), body, null);

    /// <summary>With whatever arguments it is given.</summary>
    public static Builtin Variadic(string name, Func<RenderContext, Value, Arguments, Value> body) => new(name, null, null, body);

    public Value Invoke(RenderContext c, Value self, Arguments arguments)
    {
        c.Enter();
        Value result = _variadic is not null
            ? _variadic(c, self, arguments)
            : _body!(c, self, new Bound(c, _signature!.Bind(c, arguments)));
        c.Leave();
        return result;
    }
}
