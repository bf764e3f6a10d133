namespace Sluice.Text.Jinja;

/// <summary>What <c>namespace()</c> gives: the only thing whose attributes a template can assign.</summary>
internal sealed class NamespaceValue(DictValue members) : Value
{
    public override string TypeName => "Namespace";

    public void Set(RenderContext c, string name, Value value) => members.Set(c, StringValue.FromTemplate(name), value);

    // A leading underscore is Python's mark for what is private; the sandbox lets nobody read it.
    public override Value? Attribute(RenderContext c, string name) =>
        members.Find(StringValue.FromTemplate(name)) is not { } value ? null
        : name.StartsWith('_') ? UndefinedValue.Because($"access to attribute '{name}' of 'Namespace' object is unsafe.")
        : value;

    public override void AppendRepr(TextBuilder text)
    {
        text.Append("<Namespace ", fromTemplate: false);
        text.AppendRepr(members);
        text.Append(">", fromTemplate: false);
    }
}
