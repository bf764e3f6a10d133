namespace Sluice.Text.Jinja;

/// <summary>Filters that run a filter or a test over items: <c>map</c>, <c>select</c>, <c>reject</c> and their attribute forms.</summary>
internal static class SelectionFilters
{
    public static IEnumerable<Builtin> All { get; } =
    [
        Builtin.Variadic("map", static (c, value, a) => new GeneratorValue(c, Map(c, value, a))),
        Selection("select", byAttribute: false, wanted: true),
        Selection("reject", byAttribute: false, wanted: false),
        Selection("selectattr", byAttribute: true, wanted: true),
        Selection("rejectattr", byAttribute: true, wanted: false),
    ];

    private static Builtin Selection(string name, bool byAttribute, bool wanted) =>
        Builtin.Variadic(name, (c, value, a) => new GeneratorValue(c, Select(c, value, a, byAttribute, wanted)));

    private static IEnumerable<Value> Map(RenderContext c, Value value, Arguments arguments)
    {
        if (!value.IsTrue)
        {
            yield break;
        }

        Func<Value, Value> apply = Mapping(c, arguments);
        foreach (Value item in c.Each(value))
        {
            yield return apply(item);
        }
    }

    private static Func<Value, Value> Mapping(RenderContext c, Arguments arguments)
    {
        if (arguments.Positional.Length > 0)
        {
            string name = c.ToText(arguments.Positional[0]).Text;
            Arguments rest = arguments.Skip(1);
            return item => Filters.Apply(c, name, item, rest);
        }

        Value? attribute = null;
        Value? otherwise = null;
        foreach ((StringValue name, Value value) in arguments.Named)
        {
            switch (name.Text)
            {
                case "attribute":
                    attribute = value;
                    break;
                case "default":
                    otherwise = value;
                    break;
                default:
                    throw c.Fail($"map: unexpected keyword argument '{name.Text}'");
            }
        }

        return attribute is null ? throw c.Fail("map requires a filter argument") : Attributes.Path(c, attribute, otherwise);
    }

    private static IEnumerable<Value> Select(RenderContext c, Value value, Arguments arguments, bool byAttribute, bool wanted)
    {
        if (!value.IsTrue)
        {
            yield break;
        }

        Func<Value, bool> test = Condition(c, arguments, byAttribute);
        foreach (Value item in c.Each(value))
        {
            if (test(item) == wanted)
            {
                yield return item;
            }
        }
    }

    private static Func<Value, bool> Condition(RenderContext c, Arguments arguments, bool byAttribute)
    {
        if (byAttribute && arguments.Positional.Length == 0)
        {
            throw c.Fail("selectattr and rejectattr need the name of an attribute");
        }

        Func<Value, Value> subject = byAttribute ? Attributes.Path(c, arguments.Positional[0]) : static item => item;
        int used = byAttribute ? 1 : 0;
        if (arguments.Positional.Length == used)
        {
            return item => subject(item).IsTrue;
        }

        string name = c.ToText(arguments.Positional[used]).Text;
        Arguments rest = arguments.Skip(used + 1);
        return item => Tests.Apply(c, name, subject(item), rest);
    }
}
