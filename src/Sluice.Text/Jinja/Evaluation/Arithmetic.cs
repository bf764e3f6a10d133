using System.Numerics;

namespace Sluice.Text.Jinja;

/// <summary>Python's arithmetic operators, on numbers, text and lists.</summary>
internal static class Arithmetic
{
    public static Value Apply(RenderContext c, BinaryOperator @operator, Value left, Value right)
    {
        switch (@operator, left, right)
        {
            case (BinaryOperator.Modulo, StringValue format, _):
                return PercentFormat.Apply(c, format, right);
            case (_, UndefinedValue undefined, _):
                throw c.Fail(undefined.Message);
            case (_, _, UndefinedValue undefined):
                throw c.Fail(undefined.Message);
            case (BinaryOperator.Add, StringValue a, StringValue b):
                return StringValue.Concat(c, a, b);
            case (BinaryOperator.Add, ListValue a, ListValue b):
                return new ListValue(Join(c, a.Items, b.Items));
            case (BinaryOperator.Add, TupleValue a, TupleValue b):
                return new TupleValue(Join(c, a.Items, b.Items));
            case (BinaryOperator.Multiply, StringValue or SequenceValue, BoolValue or IntegerValue):
                return Repeat(c, left, PythonNumber.ToInteger((NumberValue)right));
            case (BinaryOperator.Multiply, BoolValue or IntegerValue, StringValue or SequenceValue):
                return Repeat(c, right, PythonNumber.ToInteger((NumberValue)left));
            case (_, NumberValue a, NumberValue b):
                return a is FloatValue || b is FloatValue
                    ? Floats(c, @operator, a.ToDouble(), b.ToDouble(), a.FromInput || b.FromInput)
                    : Integers(c, @operator, PythonNumber.ToInteger(a), PythonNumber.ToInteger(b), a.FromInput || b.FromInput);
            case (BinaryOperator.Add, StringValue, _):
                throw c.Fail($"can only concatenate str (not \"{right.TypeName}\") to str");
            default:
                throw c.Fail($"unsupported operand types for {Symbol(@operator)}: '{left.TypeName}' and '{right.TypeName}'");
        }
    }

    public static Value Negate(RenderContext c, Value operand) => operand switch
    {
        FloatValue number => new FloatValue(-number.Value, number.FromInput),
        NumberValue number => new IntegerValue(-PythonNumber.ToInteger(number), number.FromInput),
        UndefinedValue undefined => throw c.Fail(undefined.Message),
        _ => throw c.Fail($"bad operand type for unary -: '{operand.TypeName}'"),
    };

    public static Value Plus(RenderContext c, Value operand) => operand switch
    {
        FloatValue => operand,
        NumberValue number => new IntegerValue(PythonNumber.ToInteger(number), number.FromInput),
        UndefinedValue undefined => throw c.Fail(undefined.Message),
        _ => throw c.Fail($"bad operand type for unary +: '{operand.TypeName}'"),
    };

    private static string Symbol(BinaryOperator @operator) => @operator switch
    {
        BinaryOperator.Add => "+",
        BinaryOperator.Subtract => "-",
        BinaryOperator.Multiply => "*",
        BinaryOperator.Divide => "/",
        BinaryOperator.FloorDivide => "//",
        BinaryOperator.Modulo => "%",
        _ => "**",
    };

    private static Value[] Join(RenderContext c, Value[] left, Value[] right)
    {
        c.AllocateItems((long)left.Length + right.Length);
        return [.. left, .. right];
    }

    private static Value Repeat(RenderContext c, Value value, BigInteger times)
    {
        int length = value is StringValue text ? text.Text.Length : ((SequenceValue)value).Items.Length;
        if (times.Sign <= 0 || length == 0)
        {
            return value is StringValue empty ? StringValue.Empty.WithMarkup(empty.IsMarkup) : ((SequenceValue)value).With([]);
        }

        if (times * length > c.Limits.AllocatedBytes)
        {
            throw c.Fail($"limit AllocatedBytes: repeating {length} items {times} times makes more than {c.Limits.AllocatedBytes} bytes");
        }

        int count = (int)times;
        if (value is SequenceValue sequence)
        {
            c.AllocateItems((long)count * length);
            Value[] items = new Value[count * length];
            for (int i = 0; i < items.Length; i++)
            {
                items[i] = sequence.Items[i % length];
            }

            return sequence.With(items);
        }

        StringValue unit = (StringValue)value;
        TextBuilder builder = c.NewText();
        for (int i = 0; i < count; i++)
        {
            c.Spend(1);
            builder.Append(unit);
        }

        return builder.ToValue(unit.IsMarkup);
    }

    private static NumberValue Integers(RenderContext c, BinaryOperator @operator, BigInteger left, BigInteger right, bool fromInput)
    {
        c.SpendOn(left);
        c.SpendOn(right);
        switch (@operator)
        {
            case BinaryOperator.Add:
                return Integer(c, left + right, fromInput);
            case BinaryOperator.Subtract:
                return Integer(c, left - right, fromInput);
            case BinaryOperator.Multiply:
                return Integer(c, left * right, fromInput);
            case BinaryOperator.Power:
                return Power(c, left, right, fromInput);
        }

        if (right.IsZero)
        {
            throw c.Fail("division by zero");
        }

        switch (@operator)
        {
            case BinaryOperator.Divide:
                return new FloatValue(Finite(c, PythonNumber.ToDouble(left)) / Finite(c, PythonNumber.ToDouble(right)), fromInput);
            case BinaryOperator.FloorDivide:
                BigInteger quotient = BigInteger.DivRem(left, right, out BigInteger remainder);
                return new IntegerValue(remainder.Sign * right.Sign < 0 ? quotient - 1 : quotient, fromInput);
            default:
                BigInteger modulus = BigInteger.Remainder(left, right);
                return new IntegerValue(modulus.Sign * right.Sign < 0 ? modulus + right : modulus, fromInput);
        }
    }

    private static NumberValue Power(RenderContext c, BigInteger left, BigInteger right, bool fromInput)
    {
        if (right.Sign < 0)
        {
            return Floats(c, BinaryOperator.Power, PythonNumber.ToDouble(left), PythonNumber.ToDouble(right), fromInput);
        }

        if (BigInteger.Abs(left) <= 1)
        {
            return new IntegerValue(right.IsZero ? BigInteger.One : right.IsEven ? left * left : left, fromInput);
        }

        if (right * (left.GetBitLength() - 1) > c.Limits.IntegerBits)
        {
            throw TooLarge(c);
        }

        c.Spend(c.Limits.IntegerBits >> 6);
        return Integer(c, BigInteger.Pow(left, (int)right), fromInput);
    }

    private static IntegerValue Integer(RenderContext c, BigInteger value, bool fromInput) =>
        value.GetBitLength() <= c.Limits.IntegerBits ? new IntegerValue(value, fromInput) : throw TooLarge(c);

    private static Sluice.Core.TemplateException TooLarge(RenderContext c) =>
        c.Fail($"limit IntegerBits: the integer has more than {c.Limits.IntegerBits} bits");

    private static FloatValue Floats(RenderContext c, BinaryOperator @operator, double left, double right, bool fromInput)
    {
        if (right == 0 && @operator is BinaryOperator.Divide or BinaryOperator.FloorDivide or BinaryOperator.Modulo)
        {
            throw c.Fail("float division by zero");
        }

        double result = @operator switch
        {
            BinaryOperator.Add => left + right,
            BinaryOperator.Subtract => left - right,
            BinaryOperator.Multiply => left * right,
            BinaryOperator.Divide => left / right,
            BinaryOperator.FloorDivide => FloorDivide(left, right),
            BinaryOperator.Modulo => Modulo(left, right),
            _ => Power(c, left, right),
        };
        return new FloatValue(result, fromInput);
    }

    private static double Modulo(double left, double right)
    {
        double remainder = left % right;
        if (remainder != 0)
        {
            return (right < 0) != (remainder < 0) ? remainder + right : remainder;
        }

        return Math.CopySign(0, right);
    }

    private static double FloorDivide(double left, double right)
    {
        double remainder = left % right;
        double quotient = (left - remainder) / right;
        if (remainder != 0 && (right < 0) != (remainder < 0))
        {
            quotient -= 1;
        }

        if (quotient == 0)
        {
            return Math.CopySign(0, left / right);
        }

        double floor = Math.Floor(quotient);
        return quotient - floor > 0.5 ? floor + 1 : floor;
    }

    private static double Power(RenderContext c, double left, double right)
    {
        if (left == 0 && right < 0)
        {
            throw c.Fail("0.0 cannot be raised to a negative power");
        }

        if (left < 0 && double.IsFinite(left) && double.IsFinite(right) && right != Math.Floor(right))
        {
            throw c.Fail("a negative number raised to a fraction is complex, which templates have no use for");
        }

        double result = Math.Pow(left, right);
        bool overflows = double.IsInfinity(result) && double.IsFinite(left) && double.IsFinite(right);
        return overflows ? throw c.Fail("numerical result out of range") : result;
    }

    private static double Finite(RenderContext c, double value) =>
        double.IsFinite(value) ? value : throw c.Fail("integer too large to convert to float");
}
