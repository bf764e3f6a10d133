using System.Globalization;
using System.Numerics;

namespace Sluice.Text.Jinja;

/// <summary>
/// A number, which knows whether it came from the inputs: its digits are then input text when printed. Numbers the template
/// writes, counts or measures (<c>loop.index</c>, <c>|length</c>) are its own.
/// </summary>
internal abstract class NumberValue : Value
{
    public abstract bool FromInput { get; }

    public abstract double ToDouble();
}

internal sealed class BoolValue : NumberValue
{
    private BoolValue(bool value) => Value = value;

    public static BoolValue True { get; } = new(true);

    public static BoolValue False { get; } = new(false);

    public bool Value { get; }

    // There is one True for the template and the inputs alike, so it is not trusted.
    public override bool FromInput => true;

    public override string TypeName => "bool";

    public override bool IsTrue => Value;

    public static BoolValue Of(bool value) => value ? True : False;

    public override double ToDouble() => Value ? 1 : 0;

    public override void AppendRepr(TextBuilder text) => text.Append(Value ? "True" : "False", fromTemplate: false);
}

internal sealed class IntegerValue(BigInteger value, bool fromInput = false) : NumberValue
{
    public BigInteger Value { get; } = value;

    public override bool FromInput { get; } = fromInput;

    public override string TypeName => "int";

    public override bool IsTrue => !Value.IsZero;

    public override double ToDouble() => PythonNumber.ToDouble(Value);

    public override void AppendRepr(TextBuilder text)
    {
        text.Context.SpendOnDigits(Value);
        text.Append(Value.ToString(CultureInfo.InvariantCulture), !FromInput);
    }
}

internal sealed class FloatValue(double value, bool fromInput = false) : NumberValue
{
    public double Value { get; } = value;

    public override bool FromInput { get; } = fromInput;

    public override string TypeName => "float";

    public override bool IsTrue => Value != 0;

    public override double ToDouble() => Value;

    public override void AppendRepr(TextBuilder text) => text.Append(FloatText.Repr(Value), !FromInput);
}
