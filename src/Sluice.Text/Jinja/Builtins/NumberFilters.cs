using System.Numerics;

namespace Sluice.Text.Jinja;

/// <summary>Filters that make numbers.</summary>
internal static class NumberFilters
{
    public static IEnumerable<Builtin> All { get; } =
    [
        Builtin.Define("abs", "", Abs),
        Builtin.Define("int", "default? base?", ToInteger),
        Builtin.Define("float", "default?", static (c, value, a) =>
            ToFloat(c, value) is { } number ? new FloatValue(number, IsInput(value)) : a.Get(0, new FloatValue(0))),
        Builtin.Define("round", "precision? method?", Round),
    ];

    /// <summary>What <c>float()</c> gives; null where Python raises.</summary>
    public static double? ToFloat(RenderContext c, Value value)
    {
        switch (value)
        {
            case StringValue text:
                c.SpendOnText(text.Text.Length);
                return PythonNumber.ParseFloat(text.Text);
            case IntegerValue number when !double.IsFinite(number.ToDouble()):
                throw c.Fail("integer too large to convert to float");
            case NumberValue number:
                return number.ToDouble();
            case UndefinedValue undefined:
                throw c.Fail(undefined.Message);
            default:
                return null;
        }
    }

    private static bool IsInput(Value value) =>
        value is not (NumberValue { FromInput: false } or StringValue { Provenance.IsAllTemplate: true });

    private static NumberValue Abs(RenderContext c, Value value, Bound a) => value switch
    {
        FloatValue number => new FloatValue(Math.Abs(number.Value), number.FromInput),
        NumberValue number => new IntegerValue(BigInteger.Abs(PythonNumber.ToInteger(number)), number.FromInput),
        UndefinedValue undefined => throw c.Fail(undefined.Message),
        _ => throw c.Fail($"bad operand type for abs(): '{value.TypeName}'"),
    };

    private static Value ToInteger(RenderContext c, Value value, Bound a)
    {
        switch (value)
        {
            case UndefinedValue undefined:
                throw c.Fail(undefined.Message);
            case StringValue text:
                c.SpendOnText(text.Text.Length);
                if (PythonNumber.ParseInteger(text.Text, a.Integer(1, 10), c.Limits.IntegerBits) is { } integer)
                {
                    return new IntegerValue(integer, IsInput(value));
                }

                break;
            case NumberValue and not FloatValue:
                return new IntegerValue(PythonNumber.ToInteger((NumberValue)value), IsInput(value));
            case FloatValue number when double.IsInfinity(number.Value):
                throw c.Fail("cannot convert float infinity to integer");
        }

        return ToFloat(c, value) is { } real && double.IsFinite(real)
            ? new IntegerValue(new BigInteger(Math.Truncate(real)), IsInput(value))
            : a.Get(0, new IntegerValue(0));
    }

    private static NumberValue Round(RenderContext c, Value value, Bound a)
    {
        StringValue method = a.Text(1, StringValue.FromTemplate("common"));
        int precision = a.Integer(0, 0);
        NumberValue number = value as NumberValue ?? throw c.Fail(value is UndefinedValue undefined
            ? undefined.Message
            : $"type {value.TypeName} doesn't define __round__ method");
        c.SpendOnDecimals(0);
        switch (method.Text)
        {
            case "common":
                return number is FloatValue real
                    ? new FloatValue(FloatText.Round(real.Value, precision), real.FromInput)
                    : RoundInteger(c, PythonNumber.ToInteger(number), precision, number.FromInput);
            case "ceil" or "floor":
                double scale = Math.Pow(10, precision);
                double scaled = number.ToDouble() * scale;
                double rounded = (method.Text is "ceil" ? Math.Ceiling(scaled) : Math.Floor(scaled)) / scale;
                return double.IsFinite(rounded)
                    ? new FloatValue(rounded, number.FromInput)
                    : throw c.Fail("round: the number is too large");
            default:
                throw c.Fail("round: method must be common, ceil or floor");
        }
    }

    private static IntegerValue RoundInteger(RenderContext c, BigInteger value, int precision, bool fromInput)
    {
        if (precision >= 0)
        {
            return new IntegerValue(value, fromInput);
        }

        if (-(long)precision > c.Limits.IntegerBits)
        {
            return new IntegerValue(0, fromInput);
        }

        c.Spend(-(long)precision);
        BigInteger unit = BigInteger.Pow(10, -precision);
        BigInteger quotient = BigInteger.DivRem(BigInteger.Abs(value), unit, out BigInteger remainder);
        int half = (remainder * 2).CompareTo(unit);
        if (half > 0 || (half == 0 && !quotient.IsEven))
        {
            quotient += 1;
        }

        return new IntegerValue(value.Sign * quotient * unit, fromInput);
    }
}
