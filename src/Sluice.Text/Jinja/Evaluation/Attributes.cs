namespace Sluice.Text.Jinja;

/// <summary>Jinja2's two ways into a value: <c>a.b</c> tries an attribute first, <c>a['b']</c> an item.</summary>
internal static class Attributes
{
    public static Value Get(RenderContext c, Value target, string name, StringValue key)
    {
        if (target is UndefinedValue undefined)
        {
            throw c.Fail(undefined.Message);
        }

        return target.Attribute(c, name) ?? target.Item(c, key) ?? UndefinedValue.Member(target, key);
    }

    public static Value GetItem(RenderContext c, Value target, Value key)
    {
        if (target is UndefinedValue undefined)
        {
            throw c.Fail(undefined.Message);
        }

        Value? found = target.Item(c, key) ?? (key is StringValue name ? target.Attribute(c, name.Text) : null);
        return found ?? UndefinedValue.Member(target, key);
    }

    /// <summary>
    /// The lookup that filters such as <c>map(attribute=...)</c> do: a path with dots, whose numeric parts are indices.
    /// </summary>
    public static Func<Value, Value> Path(RenderContext c, Value? path, Value? otherwise = null)
    {
        Value[] parts = path switch
        {
            null or NoneValue => [],
            StringValue text => [.. Parts(c, text)],
            _ => [path],
        };
        return item =>
        {
            foreach (Value part in parts)
            {
                c.Spend(1);
                item = GetItem(c, item, part);
                if (item is UndefinedValue && otherwise is not (null or NoneValue))
                {
                    item = otherwise;
                }
            }

            return item;
        };
    }

    private static IEnumerable<Value> Parts(RenderContext c, StringValue path)
    {
        c.AllocateItems(path.Text.Length);
        foreach (string part in path.Text.Split('.'))
        {
            bool isIndex = part.Length > 0 && part.AsSpan().IndexOfAnyExceptInRange('0', '9') < 0;
            if (!isIndex)
            {
                yield return StringValue.FromTemplate(part);
            }
            else
            {
                yield return PythonNumber.ParseDigits(part, 10, c.Limits.IntegerBits) is { } index
                    ? new IntegerValue(index)
                    : throw c.Fail("limit IntegerBits: an attribute path holds too large a number");
            }
        }
    }
}
