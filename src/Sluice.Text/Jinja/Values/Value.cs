namespace Sluice.Text.Jinja;

/// <summary>
/// A value of the template language. It can do what its Python counterpart can do in a sandboxed template, and nothing else:
/// attributes are looked up by name in <see cref="Attribute"/>, never by reflection. All values but namespaces, loops, cyclers
/// and joiners are immutable.
/// </summary>
internal abstract class Value
{
    /// <summary>The Python type's name, for error messages.</summary>
    public abstract string TypeName { get; }

    public virtual bool IsTrue => true;

    public virtual bool IsCallable => false;

    /// <summary>What <c>len()</c> gives; null for a type that has none.</summary>
    public virtual int? Length(RenderContext c) => null;

    /// <summary>The items in order; null for a type that cannot be iterated.</summary>
    public virtual IEnumerable<Value>? Iterate(RenderContext c) => null;

    /// <summary>The items in reverse order; null for a type that cannot be reversed.</summary>
    public virtual IEnumerable<Value>? Reverse(RenderContext c) => null;

    /// <summary>A method or attribute; null when there is none of that name.</summary>
    public virtual Value? Attribute(RenderContext c, string name) => null;

    /// <summary>What <c>value[key]</c> finds; null when there is nothing, or the key is of the wrong type.</summary>
    public virtual Value? Item(RenderContext c, Value key) => null;

    public virtual Value Call(RenderContext c, Arguments arguments) => throw c.Fail($"'{TypeName}' object is not callable");

    /// <summary>Writes what <c>str()</c> gives.</summary>
    public virtual void AppendText(TextBuilder text) => AppendRepr(text);

    /// <summary>Writes what <c>repr()</c> gives.</summary>
    public virtual void AppendRepr(TextBuilder text) => text.Append($"<{TypeName} object>", fromTemplate: false);
}

internal sealed class NoneValue : Value
{
    private NoneValue()
    {
    }

    public static NoneValue Instance { get; } = new();

    public override string TypeName => "NoneType";

    public override bool IsTrue => false;

    public override void AppendRepr(TextBuilder text) => text.Append("None", fromTemplate: false);
}

/// <summary>
/// A variable, attribute or item that is not there. It prints as nothing, is false and empty, and any other use of it is an error
/// that says what was missing.
/// </summary>
internal sealed class UndefinedValue : Value
{
    private readonly string? _hint;
    private readonly string? _owner;
    private readonly string? _name;

    private UndefinedValue(string? hint, string? owner, string? name)
    {
        _hint = hint;
        _owner = owner;
        _name = name;
    }

    public override string TypeName => "Undefined";

    public override bool IsTrue => false;

    public override bool IsCallable => true;

    /// <summary>What an error about this value says.</summary>
    public string Message =>
        _hint ?? (_owner is null ? $"'{_name}' is undefined" : $"{_owner} has no {_name}");

    public static UndefinedValue Variable(string name) => new(null, null, name);

    public static UndefinedValue Because(string hint) => new(hint, null, null);

    /// <summary>For <c>owner.name</c> or <c>owner[key]</c>.</summary>
    public static UndefinedValue Member(Value owner, Value key)
    {
        string ownerName = owner is NoneValue ? "None" : $"{owner.TypeName} object";
        return key switch
        {
            StringValue name when name.Text.Length <= 100 => new(null, $"'{ownerName}'", $"attribute '{name.Text}'"),
            IntegerValue index when index.Value.GetBitLength() < 64 => new(null, ownerName, $"element {index.Value}"),
            _ => new(null, ownerName, $"such element ({key.TypeName})"),
        };
    }

    public override int? Length(RenderContext c) => 0;

    public override IEnumerable<Value> Iterate(RenderContext c) => [];

    public override IEnumerable<Value> Reverse(RenderContext c) => [];

    public override Value Call(RenderContext c, Arguments arguments) => throw c.Fail(Message);

    public override void AppendText(TextBuilder text)
    {
    }

    public override void AppendRepr(TextBuilder text) => text.Append("Undefined", fromTemplate: false);
}
