namespace Sluice.Text.Jinja;

/// <summary>A dict, in the order in which its keys were first written.</summary>
internal sealed class DictValue : Value
{
    private readonly OrderedDictionary<Value, Value> _entries;

    public DictValue(RenderContext c) => _entries = new OrderedDictionary<Value, Value>(c.Equality);

    public override string TypeName => "dict";

    public override bool IsTrue => _entries.Count > 0;

    public int Count => _entries.Count;

    public IEnumerable<KeyValuePair<Value, Value>> Entries => _entries;

    /// <summary>Adds an entry while the dict is being made; the last value for a key wins, in the first one's place.</summary>
    public void Set(RenderContext c, Value key, Value value)
    {
        c.AllocateItems(8);
        _entries[key] = value;
    }

    /// <summary>The value for a key; null when there is none.</summary>
    public Value? Find(Value key) => _entries.TryGetValue(key, out Value? value) ? value : null;

    public DictValue Copy(RenderContext c)
    {
        DictValue copy = new(c);
        foreach ((Value key, Value value) in _entries)
        {
            copy.Set(c, key, value);
        }

        return copy;
    }

    public override int? Length(RenderContext c) => _entries.Count;

    public override IEnumerable<Value> Iterate(RenderContext c) => _entries.Keys;

    public override IEnumerable<Value> Reverse(RenderContext c) => new DictView(this, DictPart.Keys).Reverse(c);

    public override Value? Item(RenderContext c, Value key) => c.Equality.IsHashable(key) ? Find(key) : null;

    public override Value? Attribute(RenderContext c, string name) => DictMethods.Find(this, name);

    public override void AppendRepr(TextBuilder text)
    {
        text.Append("{", fromTemplate: false);
        bool first = true;
        foreach ((Value key, Value value) in _entries)
        {
            if (!first)
            {
                text.Append(", ", fromTemplate: false);
            }

            first = false;
            text.AppendRepr(key);
            text.Append(": ", fromTemplate: false);
            text.AppendRepr(value);
        }

        text.Append("}", fromTemplate: false);
    }

    internal KeyValuePair<Value, Value> At(int index) => _entries.GetAt(index);
}

internal enum DictPart
{
    Keys,
    Values,
    Items,
}

/// <summary>What <c>keys()</c>, <c>values()</c> and <c>items()</c> give.</summary>
internal sealed class DictView(DictValue dict, DictPart part) : Value
{
    public override string TypeName => part switch
    {
        DictPart.Keys => "dict_keys",
        DictPart.Values => "dict_values",
        _ => "dict_items",
    };

    public DictValue Dict => dict;

    public DictPart Part => part;

    public override bool IsTrue => dict.IsTrue;

    public override int? Length(RenderContext c) => dict.Count;

    public override IEnumerable<Value> Iterate(RenderContext c)
    {
        for (int i = 0; i < dict.Count; i++)
        {
            yield return Pick(c, dict.At(i));
        }
    }

    public override IEnumerable<Value> Reverse(RenderContext c)
    {
        for (int i = dict.Count - 1; i >= 0; i--)
        {
            yield return Pick(c, dict.At(i));
        }
    }

    public override void AppendRepr(TextBuilder text)
    {
        text.Append(TypeName, fromTemplate: false);
        text.Append("([", fromTemplate: false);
        bool first = true;
        foreach (Value item in Iterate(text.Context))
        {
            if (!first)
            {
                text.Append(", ", fromTemplate: false);
            }

            first = false;
            text.AppendRepr(item);
        }

        text.Append("])", fromTemplate: false);
    }

    private Value Pick(RenderContext c, KeyValuePair<Value, Value> entry)
    {
        switch (part)
        {
            case DictPart.Keys:
                return entry.Key;
            case DictPart.Values:
                return entry.Value;
            default:
                c.AllocateItems(2);
                return new TupleValue([entry.Key, entry.Value]);
        }
    }
}
