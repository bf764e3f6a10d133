namespace Sluice.Text.Jinja;

/// <content>Calls and macros.</content>
internal sealed partial class Evaluator
{
    private static readonly StringValue CallerName = StringValue.FromTemplate("caller");

    /// <summary>Calls a macro: binds its parameters in a scope inside the one it was defined in, and captures what it writes.</summary>
    public Value CallMacro(MacroDefinition definition, Scope definedIn, Arguments arguments)
    {
        c.EnterMacro();
        Position at = c.At;
        Scope scope = new(definedIn);
        Bind(definition, arguments, scope);
        StringValue text = Captured(() => Execute(definition.Body, scope), out _);
        c.At = at;
        c.LeaveMacro();
        return text;
    }

    private MacroValue Macro(MacroDefinition definition, Scope scope)
    {
        c.AllocateObject(128);
        return new MacroValue(this, definition, scope);
    }

    private Value Call(CallExpression call, Scope scope, MacroValue? caller)
    {
        Value callee = Evaluate(call.Callee, scope);
        Arguments arguments = Arguments(call.Arguments, scope);
        if (caller is not null)
        {
            arguments = arguments with { Named = [.. arguments.Named, new(CallerName, caller)] };
        }

        c.At = call.At;
        return callee.Call(c, arguments);
    }

    private Arguments Arguments(CallArguments arguments, Scope scope)
    {
        if (ReferenceEquals(arguments, CallArguments.None))
        {
            return Jinja.Arguments.None;
        }

        List<Value> positional = new(arguments.Positional.Count);
        foreach (Expression argument in arguments.Positional)
        {
            positional.Add(Evaluate(argument, scope));
        }

        if (arguments.Rest is not null)
        {
            Value rest = Evaluate(arguments.Rest, scope);
            c.At = arguments.Rest.At;
            positional.AddRange(c.ToArray(rest));
        }

        List<KeyValuePair<StringValue, Value>> named = new(arguments.Named.Count);
        foreach ((StringValue name, Expression value) in arguments.Named)
        {
            AddNamed(named, name, Evaluate(value, scope));
        }

        if (arguments.NamedRest is not null)
        {
            Value rest = Evaluate(arguments.NamedRest, scope);
            c.At = arguments.NamedRest.At;
            DictValue dict = rest as DictValue ?? throw c.Fail($"argument after ** must be a mapping, not {rest.TypeName}");
            foreach ((Value key, Value value) in dict.Entries)
            {
                AddNamed(named, key as StringValue ?? throw c.Fail("keywords must be strings"), value);
            }
        }

        return new Arguments([.. positional], named);
    }

    private void AddNamed(List<KeyValuePair<StringValue, Value>> named, StringValue name, Value value)
    {
        c.Spend(named.Count + 1);
        if (named.Exists(n => string.Equals(n.Key.Text, name.Text, StringComparison.Ordinal)))
        {
            throw c.Fail($"got multiple values for keyword argument '{name.Text}'");
        }

        named.Add(new KeyValuePair<StringValue, Value>(name, value));
    }

    private void Bind(MacroDefinition definition, Arguments arguments, Scope scope)
    {
        List<KeyValuePair<StringValue, Value>> named = [.. arguments.Named];
        IReadOnlyList<Parameter> parameters = definition.Parameters;
        Value?[] given = new Value?[parameters.Count];
        for (int i = 0; i < parameters.Count; i++)
        {
            c.Spend(1 + named.Count);
            given[i] = i < arguments.Positional.Length ? arguments.Positional[i] : Take(named, parameters[i].Name);
        }

        // Named arguments without a parameter go to kwargs; caller is a special one of them.
        if (definition.UsesCaller)
        {
            scope.Set("caller", Take(named, "caller") ?? UndefinedValue.Because("No caller defined"));
        }

        string macro = definition.Name ?? "caller";
        if (definition.UsesNamedRest)
        {
            DictValue rest = new(c);
            foreach ((StringValue name, Value value) in named)
            {
                rest.Set(c, name, value);
            }

            scope.Set("kwargs", rest);
        }
        else if (named.Count > 0)
        {
            throw c.Fail($"macro '{macro}' takes no keyword argument '{named[0].Key.Text}'");
        }

        if (definition.UsesPositionalRest)
        {
            int used = Math.Min(parameters.Count, arguments.Positional.Length);
            scope.Set("varargs", new TupleValue(arguments.Positional[used..]));
        }
        else if (arguments.Positional.Length > parameters.Count)
        {
            throw c.Fail($"macro '{macro}' takes not more than {parameters.Count} argument(s)");
        }

        SetParameters(parameters, given, scope);
    }

    // A default may use the parameters before it.
    private void SetParameters(IReadOnlyList<Parameter> parameters, Value?[] given, Scope scope)
    {
        for (int i = 0; i < parameters.Count; i++)
        {
            scope.Set(parameters[i].Name, UndefinedValue.Because($"parameter '{parameters[i].Name}' was not provided"));
        }

        for (int i = 0; i < parameters.Count; i++)
        {
            Value? value = given[i] ?? (parameters[i].Default is { } expression ? Evaluate(expression, scope) : null);
            if (value is not null)
            {
                scope.Set(parameters[i].Name, value);
            }
        }
    }

    private static Value? Take(List<KeyValuePair<StringValue, Value>> named, string name)
    {
        int index = named.FindIndex(n => string.Equals(n.Key.Text, name, StringComparison.Ordinal));
        if (index < 0)
        {
            return null;
        }

        Value value = named[index].Value;
        named.RemoveAt(index);
        return value;
    }
}
