using System.Numerics;

namespace Sluice.Text.Jinja;

/// <summary>The arguments of a call, evaluated. Names are values too: those that come from a <c>**dict</c> may be input.</summary>
internal sealed record Arguments(Value[] Positional, IReadOnlyList<KeyValuePair<StringValue, Value>> Named)
{
    public static Arguments None { get; } = new([], []);

    public static Arguments Of(params Value[] values) => new(values, []);

    /// <summary>All but the first <paramref name="count"/> positional arguments.</summary>
    public Arguments Skip(int count) => new(Positional[count..], Named);
}

/// <summary>
/// The parameters of a built-in: <c>"old new count?"</c> names them, a question mark making one optional. With
/// <c>positionalOnly</c> they cannot be given by name, as with most methods of Python's <c>str</c>.
/// </summary>
internal sealed class Signature
{
    private readonly string _function;
    private readonly string[] _names;
    private readonly int _required;
    private readonly bool _positionalOnly;

    public Signature(string function, string parameters, bool positionalOnly = false)
    {
        _function = function;
        _names = parameters.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        _required = _names.Count(static n => !n.EndsWith('?'));
        _positionalOnly = positionalOnly;
        for (int i = 0; i < _names.Length; i++)
        {
            _names[i] = _names[i].TrimEnd('?');
        }
    }

    /// <summary>A value for each parameter, null where an optional one is not given.</summary>
    public Value?[] Bind(RenderContext c, Arguments arguments)
    {
        if (arguments.Positional.Length > _names.Length)
        {
            throw c.Fail($"{_function}() takes at most {_names.Length} arguments ({arguments.Positional.Length} given)");
        }

        Value?[] bound = new Value?[_names.Length];
        arguments.Positional.CopyTo(bound, 0);
        foreach ((StringValue name, Value value) in arguments.Named)
        {
            int index = _positionalOnly ? -1 : Array.IndexOf(_names, name.Text);
            if (index < 0)
            {
                throw c.Fail($"{_function}() got an unexpected keyword argument '{name.Text}'");
            }

            if (bound[index] is not null)
            {
                throw c.Fail($"{_function}() got multiple values for argument '{name.Text}'");
            }

            bound[index] = value;
        }

        for (int i = 0; i < _required; i++)
        {
            if (bound[i] is null)
            {
                throw c.Fail($"{_function}() misses a required argument: '{_names[i]}'");
            }
        }

        return bound;
    }
}

/// <summary>The bound arguments of a built-in, read by position.</summary>
internal readonly struct Bound(RenderContext c, Value?[] values)
{
    public Value? this[int index] => values[index];

    public Value Get(int index, Value otherwise) => values[index] ?? otherwise;

    public bool IsNone(int index) => values[index] is null or NoneValue;

    public bool Flag(int index, bool otherwise = false) => values[index]?.IsTrue ?? otherwise;

    /// <summary>A string argument.</summary>
    public StringValue Text(int index) => values[index] as StringValue
        ?? throw c.Fail($"expected a string as argument {index + 1}, got '{values[index]?.TypeName ?? "nothing"}'");

    public StringValue Text(int index, StringValue otherwise) => values[index] is null ? otherwise : Text(index);

    /// <summary>An integer argument; what is beyond 32 bits is held to their range, which no length or position exceeds.</summary>
    public int Integer(int index, int otherwise)
    {
        switch (values[index])
        {
            case null:
                return otherwise;
            case BoolValue flag:
                return flag.Value ? 1 : 0;
            case IntegerValue integer:
                return (int)BigInteger.Min(BigInteger.Max(integer.Value, int.MinValue), int.MaxValue);
            case var other:
                throw c.Fail($"'{other.TypeName}' object cannot be interpreted as an integer");
        }
    }
}
