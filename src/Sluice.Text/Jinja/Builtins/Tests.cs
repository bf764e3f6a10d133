using System.Collections.Frozen;
using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>The tests, which follow <c>is</c>.</summary>
internal static class Tests
{
    // Before ByName, whose initializer reads it.
    private static readonly (Comparison Comparison, string[] Names)[] Comparisons =
    [
        (Comparison.Equal, ["eq", "equalto", "=="]),
        (Comparison.NotEqual, ["ne", "!="]),
        (Comparison.Less, ["lt", "lessthan", "<"]),
        (Comparison.LessOrEqual, ["le", "<="]),
        (Comparison.Greater, ["gt", "greaterthan", ">"]),
        (Comparison.GreaterOrEqual, ["ge", ">="]),
    ];

    private static readonly FrozenDictionary<string, Builtin> ByName = All().ToFrozenDictionary(static t => t.Name, StringComparer.Ordinal);

    public static bool Exists(string name) => ByName.ContainsKey(name);

    public static bool Apply(RenderContext c, string name, Value value, Arguments arguments) =>
        ByName.TryGetValue(name, out Builtin? test) ? test.Invoke(c, value, arguments).IsTrue : throw c.Fail($"no test named '{name}'");

    private static IEnumerable<Builtin> All()
    {
        yield return Simple("defined", static (_, value) => value is not UndefinedValue);
        yield return Simple("undefined", static (_, value) => value is UndefinedValue);
        yield return Simple("none", static (_, value) => value is NoneValue);
        yield return Simple("boolean", static (_, value) => value is BoolValue);
        yield return Simple("true", static (_, value) => value is BoolValue { Value: true });
        yield return Simple("false", static (_, value) => value is BoolValue { Value: false });
        yield return Simple("integer", static (_, value) => value is IntegerValue);
        yield return Simple("float", static (_, value) => value is FloatValue);
        yield return Simple("number", static (_, value) => value is NumberValue);
        yield return Simple("string", static (_, value) => value is StringValue);
        yield return Simple("mapping", static (_, value) => value is DictValue);
        yield return Simple("sequence", static (_, value) =>
            value is SequenceValue or StringValue or DictValue or RangeValue or UndefinedValue);
        yield return Simple("iterable", static (c, value) => value.Iterate(c) is not null);
        yield return Simple("callable", static (_, value) => value.IsCallable);
        yield return Simple("escaped", static (_, value) => value is StringValue { IsMarkup: true });
        yield return Simple("upper", static (c, value) => HasCase(c, value, PythonChar.IsUpper, PythonChar.IsLower));
        yield return Simple("lower", static (c, value) => HasCase(c, value, PythonChar.IsLower, PythonChar.IsUpper));
        yield return Simple("odd", static (c, value) => IsTwo(c, value, 1));
        yield return Simple("even", static (c, value) => IsTwo(c, value, 0));
        yield return Simple("filter", static (_, value) => value is StringValue name && Filters.Exists(name.Text));
        yield return Simple("test", static (_, value) => value is StringValue name && Exists(name.Text));
        yield return Builtin.Define("divisibleby", "num", static (c, value, a) =>
            BoolValue.Of(!Arithmetic.Apply(c, BinaryOperator.Modulo, value, a[0]!).IsTrue));
        yield return Builtin.Define("sameas", "other", static (_, value, a) => BoolValue.Of(IsIdentical(value, a[0]!)));
        yield return Builtin.Define("in", "seq", static (c, value, a) => BoolValue.Of(Ordering.Contains(c, a[0]!, value)));
        foreach ((Comparison comparison, string[] names) in Comparisons)
        {
            foreach (string name in names)
            {
                yield return Builtin.Method(name, "other", (c, value, a) => BoolValue.Of(Ordering.Holds(c, comparison, value, a[0]!)));
            }
        }
    }

    private static Builtin Simple(string name, Func<RenderContext, Value, bool> test) =>
        Builtin.Define(name, "", (c, value, _) => BoolValue.Of(test(c, value)));

    /// <summary><c>islower()</c> and <c>isupper()</c>: some character has the case, and none the other.</summary>
    internal static bool HasCase(RenderContext c, Value value, Func<Rune, bool> wanted, Func<Rune, bool> other)
    {
        bool found = false;
        string text = c.ToText(value).Text;
        c.Spend(text.Length >> 2);
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (other(rune) || PythonChar.IsTitle(rune))
            {
                return false;
            }

            found |= wanted(rune);
        }

        return found;
    }

    private static bool IsTwo(RenderContext c, Value value, int remainder) =>
        Arithmetic.Apply(c, BinaryOperator.Modulo, value, new IntegerValue(2)) is NumberValue rest && rest.ToDouble() == remainder;

    // Python shares one object for each of None, True, False and the small integers.
    private static bool IsIdentical(Value left, Value right) =>
        ReferenceEquals(left, right) || (left, right) switch
        {
            (IntegerValue a, IntegerValue b) => a.Value == b.Value && a.Value >= -5 && a.Value <= 256,
            (StringValue a, StringValue b) => a.Text.Length == 0 && b.Text.Length == 0,
            (TupleValue a, TupleValue b) => a.Items.Length == 0 && b.Items.Length == 0,
            _ => false,
        };
}
