namespace Sluice.Text.Jinja;

/// <summary>The names one scope has met so far, and where each takes its value from when the scope is entered.</summary>
internal sealed class ScopeSymbols
{
    private readonly Dictionary<string, Origin> _names = new(StringComparer.Ordinal);
    private readonly HashSet<string> _stores = new(StringComparer.Ordinal);
    private readonly ScopeSymbols? _outer;

    // The symbols this branch of an "if" started from. A branch holds only what it adds, so that many branches stay cheap.
    private readonly ScopeSymbols? _trunk;

    public ScopeSymbols(ScopeSymbols? outer)
        : this(outer, null)
    {
    }

    private ScopeSymbols(ScopeSymbols? outer, ScopeSymbols? trunk)
    {
        _outer = outer;
        _trunk = trunk;
    }

    private enum Origin
    {
        /// <summary>A parameter or loop variable: the scope is entered with it.</summary>
        Parameter,

        /// <summary>Read before it is assigned, if ever: whatever surrounds the scope has.</summary>
        Outside,

        /// <summary>Assigned first: nothing until then.</summary>
        Nothing,
    }

    public void Declare(string name)
    {
        _stores.Add(name);
        _names[name] = Origin.Parameter;
    }

    public void Load(string name)
    {
        if (!IsKnown(name))
        {
            _names[name] = Origin.Outside;
        }
    }

    public void Store(string name)
    {
        _stores.Add(name);
        if (!IsKnownHere(name))
        {
            _names[name] = IsKnownOutside(name) ? Origin.Outside : Origin.Nothing;
        }
    }

    public ScopeSymbols Branch() => new(_outer, this);

    /// <summary>Takes over what branches met. What only some paths assign is read from outside on the others.</summary>
    public void Merge(params ReadOnlySpan<ScopeSymbols> branches)
    {
        List<string> conditional = [];
        foreach (ScopeSymbols branch in branches)
        {
            foreach ((string name, Origin origin) in branch._names)
            {
                _names[name] = origin;
            }

            conditional.AddRange(branch._stores.Where(name => !IsStored(name)));
        }

        foreach (string name in conditional)
        {
            _stores.Add(name);
            _names[name] = Origin.Outside;
        }
    }

    public IReadOnlyList<string> Hidden() => [.. _names.Where(static n => n.Value == Origin.Nothing).Select(static n => n.Key)];

    private bool IsKnown(string name) => IsKnownHere(name) || IsKnownOutside(name);

    private bool IsKnownOutside(string name)
    {
        for (ScopeSymbols? scope = _outer; scope is not null; scope = scope._outer)
        {
            if (scope.IsKnownHere(name))
            {
                return true;
            }
        }

        return false;
    }

    private bool IsKnownHere(string name)
    {
        for (ScopeSymbols? part = this; part is not null; part = part._trunk)
        {
            if (part._names.ContainsKey(name))
            {
                return true;
            }
        }

        return false;
    }

    private bool IsStored(string name)
    {
        for (ScopeSymbols? part = this; part is not null; part = part._trunk)
        {
            if (part._stores.Contains(name))
            {
                return true;
            }
        }

        return false;
    }
}
