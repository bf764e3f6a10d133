using System.Numerics;

namespace Sluice.Text.Jinja;

/// <summary>Python's <c>==</c> and <c>hash()</c>: numbers compare across types, text by its characters whatever their origin.</summary>
internal sealed class ValueEquality(RenderContext c) : IEqualityComparer<Value>
{
    public bool Equals(Value? left, Value? right)
    {
        if (left is null || right is null)
        {
            return ReferenceEquals(left, right);
        }

        c.Spend(1);
        switch (left, right)
        {
            case (StringValue a, StringValue b):
                c.SpendOnText(a.Text.Length == b.Text.Length ? a.Text.Length : 0);
                return string.Equals(a.Text, b.Text, StringComparison.Ordinal);
            case (FloatValue or NumberValue, NumberValue):
                return NumbersEqual((NumberValue)left, (NumberValue)right);
            case (ListValue a, ListValue b):
                return SameItems(a.Items, b.Items);
            case (TupleValue a, TupleValue b):
                return SameItems(a.Items, b.Items);
            case (DictValue a, DictValue b):
                return SameEntries(a, b);
            case (RangeValue a, RangeValue b):
                return SameItems([.. c.Each(a)], [.. c.Each(b)]);
            case (UndefinedValue, UndefinedValue):
                return true;
            default:
                return ReferenceEquals(left, right);
        }
    }

    public int GetHashCode(Value value)
    {
        c.Spend(1);
        switch (value)
        {
            case StringValue text:
                c.SpendOnText(text.Text.Length);
                return string.GetHashCode(text.Text, StringComparison.Ordinal);
            case BoolValue flag:
                return HashCode.Combine(flag.Value ? BigInteger.One : BigInteger.Zero);
            case IntegerValue integer:
                return HashCode.Combine(integer.Value);
            case FloatValue number:
                return double.IsInteger(number.Value) ? HashCode.Combine(new BigInteger(number.Value)) : HashCode.Combine(number.Value);
            case TupleValue tuple:
                c.Enter();
                HashCode hash = default;
                foreach (Value item in tuple.Items)
                {
                    hash.Add(GetHashCode(item));
                }

                c.Leave();
                return hash.ToHashCode();
            case ListValue or DictValue or DictView:
                throw c.Fail($"unhashable type: '{value.TypeName}'");
            case UndefinedValue:
                return 0;
            default:
                return System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(value);
        }
    }

    /// <summary>Whether a value can be a dict's key.</summary>
    public bool IsHashable(Value value)
    {
        c.Spend(1);
        if (value is not TupleValue tuple)
        {
            return value is not (ListValue or DictValue or DictView);
        }

        c.Enter();
        bool isHashable = Array.TrueForAll(tuple.Items, IsHashable);
        c.Leave();
        return isHashable;
    }

    /// <summary>Whether two lists hold equal items; an item is equal to itself even if it is not a number.</summary>
    public bool SameItems(Value[] left, Value[] right)
    {
        if (left.Length != right.Length)
        {
            return false;
        }

        c.Enter();
        bool same = true;
        for (int i = 0; same && i < left.Length; i++)
        {
            same = IsSame(left[i], right[i]);
        }

        c.Leave();
        return same;
    }

    /// <summary>Identity or equality: how Python looks for an item in a list.</summary>
    public bool IsSame(Value left, Value right) => ReferenceEquals(left, right) || Equals(left, right);

    private bool SameEntries(DictValue left, DictValue right)
    {
        if (left.Count != right.Count)
        {
            return false;
        }

        c.Enter();
        bool same = true;
        foreach ((Value key, Value value) in left.Entries)
        {
            same = right.Find(key) is { } other && IsSame(value, other);
            if (!same)
            {
                break;
            }
        }

        c.Leave();
        return same;
    }

    private static bool NumbersEqual(NumberValue left, NumberValue right) =>
        left is FloatValue || right is FloatValue
            ? Ordering.CompareNumbers(left, right) == 0
            : PythonNumber.ToInteger(left) == PythonNumber.ToInteger(right);
}
