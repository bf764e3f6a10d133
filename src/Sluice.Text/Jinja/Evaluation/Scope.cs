namespace Sluice.Text.Jinja;

/// <summary>
/// Variables, and the scope around them. Reading looks outwards; assigning stays here. The outermost scope holds the inputs and
/// the global functions, the one inside it the template's top level.
/// </summary>
internal sealed class Scope(Scope? outer)
{
    private readonly Scope? _outer = outer;
    private Dictionary<string, Value>? _variables;

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
            if (scope._variables is not null && scope._variables.TryGetValue(name, out Value? value))
            {
                return value;
            }
        }

        return null;
    }

    public void Set(string name, Value value) => (_variables ??= new Dictionary<string, Value>(StringComparer.Ordinal))[name] = value;
}
