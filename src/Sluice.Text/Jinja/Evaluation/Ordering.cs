using System.Numerics;

namespace Sluice.Text.Jinja;

/// <summary>Python's <c>&lt;</c>: numbers with numbers, text by code points, lists and tuples item by item.</summary>
internal static class Ordering
{
    /// <summary>Whether <paramref name="left"/> <paramref name="comparison"/> <paramref name="right"/> holds.</summary>
    public static bool Holds(RenderContext c, Comparison comparison, Value left, Value right)
    {
        switch (comparison)
        {
            case Comparison.Equal:
                return c.Equality.Equals(left, right);
            case Comparison.NotEqual:
                return !c.Equality.Equals(left, right);
            case Comparison.In:
                return Contains(c, right, left);
            case Comparison.NotIn:
                return !Contains(c, right, left);
        }

        int? order = Compare(c, left, right, comparison);
        return order is { } sign && comparison switch
        {
            Comparison.Less => sign < 0,
            Comparison.LessOrEqual => sign <= 0,
            Comparison.Greater => sign > 0,
            _ => sign >= 0,
        };
    }

    /// <summary>Whether <paramref name="left"/> comes before <paramref name="right"/>.</summary>
    public static bool IsLess(RenderContext c, Value left, Value right) => Holds(c, Comparison.Less, left, right);

    /// <summary>The sign of the difference of two numbers; null when one is not a number at all.</summary>
    public static int? CompareNumbers(NumberValue left, NumberValue right)
    {
        if (left is not FloatValue && right is not FloatValue)
        {
            return PythonNumber.ToInteger(left).CompareTo(PythonNumber.ToInteger(right));
        }

        if (left is FloatValue { Value: var a } && right is FloatValue { Value: var b })
        {
            return double.IsNaN(a) || double.IsNaN(b) ? null : a.CompareTo(b);
        }

        return left is FloatValue number
            ? CompareWithInteger(number.Value, PythonNumber.ToInteger(right))
            : -CompareWithInteger(((FloatValue)right).Value, PythonNumber.ToInteger(left));
    }

    /// <summary>Whether <paramref name="item"/> is in <paramref name="container"/>.</summary>
    public static bool Contains(RenderContext c, Value container, Value item)
    {
        switch (container)
        {
            case StringValue text:
                return item is StringValue part
                    ? new TextSearch(c, part.Text).IndexIn(text.Text, 0) >= 0
                    : throw (item is UndefinedValue missing
                        ? c.Fail(missing.Message)
                        : c.Fail($"'in <string>' requires string as left operand, not {item.TypeName}"));
            case DictValue dict:
                return dict.Find(item) is not null;
            case DictView { Part: DictPart.Keys } view:
                return view.Dict.Find(item) is not null;
        }

        if (container.Iterate(c) is null)
        {
            throw c.Fail($"argument of type '{container.TypeName}' is not iterable");
        }

        foreach (Value candidate in c.Each(container))
        {
            if (c.Equality.IsSame(candidate, item))
            {
                return true;
            }
        }

        return false;
    }

    private static int? Compare(RenderContext c, Value left, Value right, Comparison comparison)
    {
        c.Spend(1);
        switch (left, right)
        {
            case (NumberValue a, NumberValue b):
                return CompareNumbers(a, b);
            case (StringValue a, StringValue b):
                c.SpendOnText(Math.Min(a.Text.Length, b.Text.Length));
                return CompareText(a.Text, b.Text);
            case (ListValue a, ListValue b):
                return CompareItems(c, a.Items, b.Items, comparison);
            case (TupleValue a, TupleValue b):
                return CompareItems(c, a.Items, b.Items, comparison);
            case (UndefinedValue undefined, _):
                throw c.Fail(undefined.Message);
            case (_, UndefinedValue undefined):
                throw c.Fail(undefined.Message);
            default:
                string symbol = comparison switch
                {
                    Comparison.Less => "<",
                    Comparison.LessOrEqual => "<=",
                    Comparison.Greater => ">",
                    _ => ">=",
                };
                throw c.Fail($"'{symbol}' not supported between instances of '{left.TypeName}' and '{right.TypeName}'");
        }
    }

    private static int? CompareItems(RenderContext c, Value[] left, Value[] right, Comparison comparison)
    {
        int common = Math.Min(left.Length, right.Length);
        for (int i = 0; i < common; i++)
        {
            if (!c.Equality.IsSame(left[i], right[i]))
            {
                c.Enter();
                int? order = Compare(c, left[i], right[i], comparison);
                c.Leave();
                return order;
            }
        }

        return left.Length.CompareTo(right.Length);
    }

    private static int CompareText(string left, string right)
    {
        int common = left.AsSpan().CommonPrefixLength(right);
        return common == left.Length || common == right.Length
            ? left.Length.CompareTo(right.Length)
            : CodePointOrder(left[common]).CompareTo(CodePointOrder(right[common]));
    }

    // UTF-16 order puts surrogates, which write the highest code points, before U+E000: moved behind U+FFFF they are in order.
    private static int CodePointOrder(char c) => char.IsSurrogate(c) ? c + 0x10000 : c;

    private static int? CompareWithInteger(double number, BigInteger integer)
    {
        if (double.IsNaN(number))
        {
            return null;
        }

        if (double.IsInfinity(number))
        {
            return double.IsPositive(number) ? 1 : -1;
        }

        BigInteger whole = new(Math.Truncate(number));
        int order = whole.CompareTo(integer);
        return order != 0 ? order : number.CompareTo(Math.Truncate(number));
    }
}
