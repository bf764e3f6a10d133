namespace Sluice.Text.Jinja;

/// <summary>Filters on lists, dicts and anything with items.</summary>
internal static class SequenceFilters
{
    public static IEnumerable<Builtin> All { get; } =
    [
        Builtin.Define("length", "", Length),
        Builtin.Define("count", "", Length),
        Builtin.Define("default", "default_value? boolean?", Default),
        Builtin.Define("d", "default_value? boolean?", Default),
        Builtin.Define("first", "", static (c, value, _) => c.Each(value).FirstOrDefault()
            ?? UndefinedValue.Because("No first item, sequence was empty.")),
        Builtin.Define("last", "", Last),
        Builtin.Define("join", "d? attribute?", Join),
        Builtin.Define("list", "", static (c, value, _) => new ListValue(c.ToArray(value))),
        Builtin.Define("items", "", static (c, value, _) => new GeneratorValue(c, Pairs(c, value))),
        Builtin.Define("dictsort", "case_sensitive? by? reverse?", DictSort),
        Builtin.Define("reverse", "", Reverse),
        Builtin.Define("sort", "reverse? case_sensitive? attribute?", Sort),
        Builtin.Define("unique", "case_sensitive? attribute?", static (c, value, a) =>
            new GeneratorValue(c, Unique(c, value, Keys.By(c, a[1], a.Flag(0))))),
        Builtin.Define("min", "case_sensitive? attribute?", static (c, value, a) => Extreme(c, value, a, Comparison.Less)),
        Builtin.Define("max", "case_sensitive? attribute?", static (c, value, a) => Extreme(c, value, a, Comparison.Greater)),
        Builtin.Define("sum", "attribute? start?", Sum),
        Builtin.Define("groupby", "attribute default? case_sensitive?", GroupBy),
        Builtin.Define("batch", "linecount fill_with?", static (c, value, a) =>
            new GeneratorValue(c, Batch(c, value, a.Integer(0, 0), a.IsNone(1) ? null : a[1]))),
        Builtin.Define("slice", "slices fill_with?", static (c, value, a) =>
            new GeneratorValue(c, Slices(c, value, a.Integer(0, 0), a.IsNone(1) ? null : a[1]))),
    ];

    private static IntegerValue Length(RenderContext c, Value value, Bound a) =>
        new(value.Length(c) ?? throw c.Fail($"object of type '{value.TypeName}' has no len()"));

    private static Value Default(RenderContext c, Value value, Bound a) =>
        value is UndefinedValue || (a.Flag(1) && !value.IsTrue) ? a.Get(0, StringValue.Empty) : value;

    private static Value Last(RenderContext c, Value value, Bound a)
    {
        IEnumerable<Value> items = value.Reverse(c) ?? throw c.Fail($"'{value.TypeName}' object is not reversible");
        return items.FirstOrDefault() ?? UndefinedValue.Because("No last item, sequence was empty.");
    }

    private static StringValue Join(RenderContext c, Value value, Bound a)
    {
        StringValue separator = c.ToText(a.Get(0, StringValue.Empty));
        Func<Value, Value> attribute = Attributes.Path(c, a[1]);
        TextBuilder text = c.NewText();
        bool first = true;
        foreach (Value item in c.Each(value))
        {
            if (!first)
            {
                text.Append(separator);
            }

            first = false;
            text.Append(attribute(item));
        }

        return text.ToValue();
    }

    // An iterator, so that the error comes when the first pair is asked for, as in Jinja2.
    private static IEnumerable<Value> Pairs(RenderContext c, Value value)
    {
        if (value is UndefinedValue)
        {
            yield break;
        }

        DictValue dict = value as DictValue ?? throw c.Fail("items can only get pairs from a mapping");
        foreach (Value pair in new DictView(dict, DictPart.Items).Iterate(c))
        {
            yield return pair;
        }
    }

    private static ListValue DictSort(RenderContext c, Value value, Bound a)
    {
        DictValue dict = value as DictValue
            ?? throw c.Fail(value is UndefinedValue undefined ? undefined.Message : $"dictsort expects a dict, got '{value.TypeName}'");
        int part = a.Text(1, StringValue.FromTemplate("key")).Text switch
        {
            "key" => 0,
            "value" => 1,
            _ => throw c.Fail("dictsort can sort by \"key\" or \"value\""),
        };
        Value[] items = c.ToArray(new DictView(dict, DictPart.Items));
        Value[] keys = Array.ConvertAll(items, item => Keys.Of(c, ((TupleValue)item).Items[part], a.Flag(0)));
        return new ListValue(StableSort.By(c, items, keys, a.Flag(2)));
    }

    private static Value Reverse(RenderContext c, Value value, Bound a)
    {
        if (value is StringValue text)
        {
            return Slicing.Reverse(c, text);
        }

        if (value.Reverse(c) is { } reversed)
        {
            return new GeneratorValue(c, reversed);
        }

        Value[] items = c.ToArray(value);
        Array.Reverse(items);
        return new ListValue(items);
    }

    private static ListValue Sort(RenderContext c, Value value, Bound a)
    {
        Value[] items = c.ToArray(value);
        bool isCaseSensitive = a.Flag(1);

        // "age,name" sorts by the one and then the other: the keys are lists, even of one, and lists compare equal items by ==.
        Converter<Value, Value>[] attributes = a[2] is StringValue path
            ? [.. path.Text.Split(',').Select(part => Keys.Converter(c, StringValue.FromTemplate(part), isCaseSensitive))]
            : [Keys.Converter(c, a[2], isCaseSensitive)];
        Value[] keys = Array.ConvertAll(items, item =>
        {
            c.AllocateItems(attributes.Length);
            return (Value)new ListValue(Array.ConvertAll(attributes, attribute => attribute(item)));
        });
        return new ListValue(StableSort.By(c, items, keys, a.Flag(0)));
    }

    private static IEnumerable<Value> Unique(RenderContext c, Value value, Func<Value, Value> key)
    {
        HashSet<Value> seen = new(c.Equality);
        foreach (Value item in c.Each(value))
        {
            c.AllocateItems(4);
            if (seen.Add(key(item)))
            {
                yield return item;
            }
        }
    }

    private static Value Extreme(RenderContext c, Value value, Bound a, Comparison comparison)
    {
        Func<Value, Value> key = Keys.By(c, a[1], a.Flag(0));
        Value? best = null;
        Value? bestKey = null;
        foreach (Value item in c.Each(value))
        {
            Value itemKey = key(item);
            if (bestKey is null || Ordering.Holds(c, comparison, itemKey, bestKey))
            {
                (best, bestKey) = (item, itemKey);
            }
        }

        return best ?? UndefinedValue.Because("No aggregated item, sequence was empty.");
    }

    private static Value Sum(RenderContext c, Value value, Bound a)
    {
        Value total = a.Get(1, new IntegerValue(0));
        if (total is StringValue)
        {
            throw c.Fail("sum() can't sum strings [use join instead]");
        }

        Func<Value, Value> attribute = Attributes.Path(c, a[0]);
        foreach (Value item in c.Each(value))
        {
            total = Arithmetic.Apply(c, BinaryOperator.Add, total, attribute(item));
        }

        return total;
    }

    private static ListValue GroupBy(RenderContext c, Value value, Bound a)
    {
        Func<Value, Value> attribute = Attributes.Path(c, a[0], a[1]);
        bool isCaseSensitive = a.Flag(2);
        Value[] items = c.ToArray(value);
        Converter<Value, Value> key = item => Keys.Of(c, attribute(item), isCaseSensitive);
        Value[] sorted = StableSort.By(c, items, Array.ConvertAll(items, key));
        List<Value> groups = [];
        for (int start = 0; start < sorted.Length;)
        {
            Value groupKey = key(sorted[start]);
            int end = start + 1;
            while (end < sorted.Length && c.Equality.IsSame(groupKey, key(sorted[end])))
            {
                end++;
            }

            c.AllocateItems(end - start + 8);
            Value shown = isCaseSensitive ? groupKey : attribute(sorted[start]);
            groups.Add(new TupleValue([shown, new ListValue(sorted[start..end])], isGroup: true));
            start = end;
        }

        return new ListValue([.. groups]);
    }

    private static IEnumerable<Value> Batch(RenderContext c, Value value, int size, Value? fill)
    {
        List<Value> batch = [];
        foreach (Value item in c.Each(value))
        {
            if (batch.Count == size)
            {
                c.AllocateItems(batch.Count);
                yield return new ListValue([.. batch]);
                batch.Clear();
            }

            c.Allocate(8);
            batch.Add(item);
        }

        if (batch.Count > 0)
        {
            int missing = fill is null ? 0 : Math.Max(size - batch.Count, 0);
            c.AllocateItems(2L * (batch.Count + missing));
            batch.AddRange(Enumerable.Repeat(fill!, missing));
            yield return new ListValue([.. batch]);
        }
    }

    private static IEnumerable<Value> Slices(RenderContext c, Value value, int slices, Value? fill)
    {
        Value[] items = c.ToArray(value);
        if (slices == 0)
        {
            throw c.Fail("integer division or modulo by zero");
        }

        int size = Math.DivRem(items.Length, Math.Max(slices, 1), out int withExtra);
        for (int i = 0, start = 0; i < slices; i++)
        {
            int length = size + (i < withExtra ? 1 : 0);
            bool isFilled = fill is not null && i >= withExtra;
            c.AllocateItems(length + 1L);
            Value[] slice = isFilled ? [.. items.AsSpan(start, length), fill!] : items[start..(start + length)];
            start += length;
            yield return new ListValue(slice);
        }
    }
}
