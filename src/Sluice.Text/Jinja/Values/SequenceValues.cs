namespace Sluice.Text.Jinja;

/// <summary>A list or tuple. Both are immutable here: the sandbox refuses what would change a list.</summary>
internal abstract class SequenceValue(Value[] items) : Value
{
    public Value[] Items { get; } = items;

    public override bool IsTrue => Items.Length > 0;

    public override int? Length(RenderContext c) => Items.Length;

    public override IEnumerable<Value> Iterate(RenderContext c) => Items;

    public override IEnumerable<Value> Reverse(RenderContext c)
    {
        for (int i = Items.Length - 1; i >= 0; i--)
        {
            yield return Items[i];
        }
    }

    public override Value? Item(RenderContext c, Value key) => Slicing.TryIndex(key, Items.Length, out int index) ? Items[index] : null;

    /// <summary>A sequence of the same type.</summary>
    public abstract SequenceValue With(Value[] items);

    protected void AppendItems(TextBuilder text)
    {
        for (int i = 0; i < Items.Length; i++)
        {
            if (i > 0)
            {
                text.Append(", ", fromTemplate: false);
            }

            text.AppendRepr(Items[i]);
        }
    }
}

internal sealed class ListValue(Value[] items) : SequenceValue(items)
{
    public override string TypeName => "list";

    public override SequenceValue With(Value[] items) => new ListValue(items);

    public override Value? Attribute(RenderContext c, string name) => SequenceMethods.Find(this, name);

    public override void AppendRepr(TextBuilder text)
    {
        text.Append("[", fromTemplate: false);
        AppendItems(text);
        text.Append("]", fromTemplate: false);
    }
}

/// <summary>A tuple; the groups of <c>groupby</c> also name their two fields.</summary>
internal sealed class TupleValue(Value[] items, bool isGroup = false) : SequenceValue(items)
{
    public override string TypeName => "tuple";

    public override SequenceValue With(Value[] items) => new TupleValue(items);

    public override Value? Attribute(RenderContext c, string name) => (isGroup, name) switch
    {
        (true, "grouper") => Items[0],
        (true, "list") => Items[1],
        _ => SequenceMethods.Find(this, name),
    };

    public override void AppendRepr(TextBuilder text)
    {
        text.Append("(", fromTemplate: false);
        AppendItems(text);
        text.Append(Items.Length == 1 ? ",)" : ")", fromTemplate: false);
    }
}
