namespace Sluice.Text.Jinja;

/// <summary>
/// Variables, and the scope around them. Reading looks outwards; assigning stays here. The outermost scope holds the inputs and
/// the global functions, the one inside it the template's top level.
/// </summary>
internal sealed class Scope(Scope? outer)
{
    // Every iteration of a loop is a scope, most of few variables: a short list is found faster and made faster than a table.
    private const int Few = 8;

    private readonly Scope? _outer = outer;
    private (string Name, Value Value)[] _few = [];
    private int _count;
    private Dictionary<string, Value>? _many;

    /// <summary>How many scopes are around this one.</summary>
    public int Depth { get; } = outer is null ? 0 : outer.Depth + 1;

    /// <summary>The template's top level.</summary>
    public Scope TopLevel
    {
        get
        {
            Scope scope = this;
            while (scope._outer?._outer is not null)
            {
                scope = scope._outer;
            }

            return scope;
        }
    }

    public Value? Find(string name)
    {
        for (Scope? scope = this; scope is not null; scope = scope._outer)
        {
            if (scope.FindHere(name) is { } value)
            {
                return value;
            }
        }

        return null;
    }

    public void Set(string name, Value value)
    {
        if (_many is not null)
        {
            _many[name] = value;
            return;
        }

        for (int i = 0; i < _count; i++)
        {
            if (string.Equals(_few[i].Name, name, StringComparison.Ordinal))
            {
                _few[i].Value = value;
                return;
            }
        }

        if (_count < Few)
        {
            if (_count == _few.Length)
            {
                Array.Resize(ref _few, _count == 0 ? 2 : 2 * _count);
            }

            _few[_count++] = (name, value);
            return;
        }

        _many = new Dictionary<string, Value>(2 * Few, StringComparer.Ordinal) { [name] = value };
        foreach ((string other, Value otherValue) in _few)
        {
            _many[other] = otherValue;
        }
    }

    private Value? FindHere(string name)
    {
        if (_many is not null)
        {
            return _many.GetValueOrDefault(name);
        }

        for (int i = 0; i < _count; i++)
        {
            if (string.Equals(_few[i].Name, name, StringComparison.Ordinal))
            {
                return _few[i].Value;
            }
        }

        return null;
    }
}
