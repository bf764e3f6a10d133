namespace Sluice.Text.Jinja;

/// <summary>What items are sorted, grouped and compared by: an attribute or the item, text in lower case unless asked otherwise.</summary>
internal static class Keys
{
    public static Value Of(RenderContext c, Value value, bool isCaseSensitive) =>
        value is StringValue text && !isCaseSensitive ? CaseMapping.Lower(c, text) : value;

    public static Func<Value, Value> By(RenderContext c, Value? attribute, bool isCaseSensitive)
    {
        Func<Value, Value> path = Attributes.Path(c, attribute);
        return item => Of(c, path(item), isCaseSensitive);
    }

    public static Converter<Value, Value> Converter(RenderContext c, Value? attribute, bool isCaseSensitive) =>
        new(By(c, attribute, isCaseSensitive));
}
