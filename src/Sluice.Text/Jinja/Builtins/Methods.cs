using System.Collections.Frozen;

namespace Sluice.Text.Jinja;

/// <summary>
/// The methods of one type by name. What Python's sandbox knows but refuses, because it would change the value, is an undefined
/// value that says so when it is called.
/// </summary>
internal sealed class Methods(string type, IEnumerable<Builtin> methods, params string[] refused)
{
    private readonly FrozenDictionary<string, Builtin> _methods = methods.ToFrozenDictionary(static m => m.Name, StringComparer.Ordinal);

    public Value? Find(Value self, string name)
    {
        if (_methods.TryGetValue(name, out Builtin? method))
        {
            return new BoundMethod(self, method);
        }

        return Array.IndexOf(refused, name) >= 0
            ? UndefinedValue.Because($"access to attribute '{name}' of '{type}' object is unsafe.")
            : null;
    }
}

/// <summary>The methods of dicts.</summary>
internal static class DictMethods
{
    private static readonly Methods Dict = new(
        "dict",
        [
            Builtin.Method("get", "key default?", static (_, self, a) => ((DictValue)self).Find(a[0]!) ?? a.Get(1, NoneValue.Instance)),
            Builtin.Method("items", "", static (_, self, _) => new DictView((DictValue)self, DictPart.Items)),
            Builtin.Method("keys", "", static (_, self, _) => new DictView((DictValue)self, DictPart.Keys)),
            Builtin.Method("values", "", static (_, self, _) => new DictView((DictValue)self, DictPart.Values)),
            Builtin.Method("copy", "", static (c, self, _) => ((DictValue)self).Copy(c)),
        ],
        "clear",
        "pop",
        "popitem",
        "setdefault",
        "update");

    public static Value? Find(DictValue self, string name) => Dict.Find(self, name);
}

/// <summary>The methods of lists and tuples.</summary>
internal static class SequenceMethods
{
    private static readonly Methods Tuple = new("tuple", Shared());

    private static readonly Methods List = new(
        "list",
        [.. Shared(), Builtin.Method("copy", "", static (c, self, _) => new ListValue(c.ToArray(self)))],
        "append",
        "clear",
        "extend",
        "insert",
        "pop",
        "remove",
        "reverse",
        "sort");

    public static Value? Find(SequenceValue self, string name) => (self is ListValue ? List : Tuple).Find(self, name);

    private static Builtin[] Shared() =>
    [
        Builtin.Method("index", "value start? stop?", Index),
        Builtin.Method("count", "value", static (c, self, a) =>
            new IntegerValue(c.Each(self).Count(item => c.Equality.IsSame(item, a[0]!)))),
    ];

    private static IntegerValue Index(RenderContext c, Value self, Bound a)
    {
        Value[] items = ((SequenceValue)self).Items;
        Slice range = Slicing.Resolve(c, a[1], a[2], null, items.Length);
        for (int i = 0; i < range.Count; i++)
        {
            c.Spend(1);
            if (c.Equality.IsSame(items[range.Start + i], a[0]!))
            {
                return new IntegerValue(range.Start + i);
            }
        }

        throw c.Fail($"value is not in {self.TypeName}");
    }
}
