using System.Globalization;
using System.Numerics;
using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>Python's <c>format % values</c>. The format's own characters and each value keep their origins.</summary>
internal sealed class PercentFormat
{
    private readonly RenderContext _c;
    private readonly StringValue _format;
    private readonly TextBuilder _text;
    private readonly Value _values;
    private readonly Value[]? _tuple;
    private int _at;
    private int _used;

    private PercentFormat(RenderContext c, StringValue format, Value values)
    {
        _c = c;
        _format = format;
        _values = values;
        _tuple = (values as TupleValue)?.Items;
        _text = c.NewText();
    }

    public static StringValue Apply(RenderContext c, StringValue format, Value values) => new PercentFormat(c, format, values).Run();

    private StringValue Run()
    {
        string source = _format.Text;
        while (_at < source.Length)
        {
            int percent = source.IndexOf('%', _at);
            if (percent < 0)
            {
                _text.Append(_format, _at, source.Length);
                break;
            }

            _text.Append(_format, _at, percent);
            _at = percent + 1;
            _c.Spend(1);
            Conversion(percent);
        }

        // Python takes whatever has items for a mapping, of which not all need be used.
        bool takesLeftovers = _values is DictValue or ListValue or RangeValue or UndefinedValue;
        if (!takesLeftovers && _used < (_tuple?.Length ?? 1))
        {
            throw _c.Fail("not all arguments converted during string formatting");
        }

        return _text.ToValue(_format.IsMarkup);
    }

    private void Conversion(int percent)
    {
        Value? keyed = Peek() == '(' ? Keyed() : null;
        bool left = false;
        bool zero = false;
        bool alternate = false;
        string plus = "";
        for (; Peek() is '-' or '0' or '#' or '+' or ' '; _at++)
        {
            switch (Peek())
            {
                case '-':
                    left = true;
                    break;
                case '0':
                    zero = true;
                    break;
                case '#':
                    alternate = true;
                    break;
                case '+':
                    plus = "+";
                    break;
                default:
                    plus = plus.Length == 0 ? " " : plus;
                    break;
            }
        }

        int width = Number();
        left |= width < 0;
        int precision = -1;
        if (Peek() == '.')
        {
            _at++;
            precision = Math.Max(Number(), 0);
        }

        while (Peek() is 'h' or 'l' or 'L')
        {
            _at++;
        }

        char code = Peek();
        _at++;
        if (code == '%')
        {
            _text.Append(_format, percent, percent + 1);
            return;
        }

        if (code == '\0')
        {
            throw _c.Fail("incomplete format");
        }

        Value value = keyed ?? Next();
        Layout layout = new(Math.Abs((long)width), precision, left, zero, alternate, plus);
        Append(value, code, layout);
    }

    private readonly record struct Layout(long Width, int Precision, bool Left, bool Zero, bool Alternate, string Plus);

    private void Append(Value value, char code, Layout layout)
    {
        switch (code)
        {
            case 's' or 'r' or 'a':
                AppendText(value, code, layout);
                break;
            case 'c':
                AppendPadded(Character(value), layout);
                break;
            case 'd' or 'i' or 'u' or 'x' or 'X' or 'o':
                AppendInteger(value, code, layout);
                break;
            case 'e' or 'E' or 'f' or 'F' or 'g' or 'G':
                AppendFloat(value, code, layout);
                break;
            default:
                throw _c.Fail($"unsupported format character '{code}'");
        }
    }

    private void AppendText(Value value, char code, Layout layout)
    {
        StringValue text;
        if (code == 's')
        {
            text = _c.ToText(value);
            text = _format.IsMarkup ? Markup.Escape(_c, text) : text;
        }
        else
        {
            TextBuilder repr = _c.NewText();
            repr.AppendRepr(value);
            text = repr.ToValue();
            text = _format.IsMarkup ? Markup.Escape(_c, text) : text;
        }

        if (layout.Precision >= 0 && layout.Precision < text.Length(_c))
        {
            text = text.Part(_c, 0, text.Advance(0, layout.Precision));
        }

        AppendPadded(text, layout);
    }

    private void AppendPadded(StringValue text, Layout layout)
    {
        long padding = Math.Max(layout.Width - text.Length(_c)!.Value, 0);
        Pad(' ', layout.Left ? 0 : padding);
        _text.Append(text);
        Pad(' ', layout.Left ? padding : 0);
    }

    private void AppendInteger(Value value, char code, Layout layout)
    {
        BigInteger number = value switch
        {
            FloatValue real when code is 'd' or 'i' or 'u' => double.IsFinite(real.Value)
                ? new BigInteger(Math.Truncate(real.Value))
                : throw _c.Fail("cannot convert float infinity or NaN to integer"),
            NumberValue integer and not FloatValue => PythonNumber.ToInteger(integer),
            UndefinedValue undefined => throw _c.Fail(undefined.Message),
            _ => throw _c.Fail($"%{code} format: a number is required, not {value.TypeName}"),
        };
        _c.SpendOnDigits(number);
        BigInteger magnitude = BigInteger.Abs(number);
        (string prefix, string digits) = code switch
        {
            'x' => ("0x", FormatSpec.InBase(magnitude, 16)),
            'X' => ("0X", FormatSpec.InBase(magnitude, 16).ToUpperInvariant()),
            'o' => ("0o", FormatSpec.InBase(magnitude, 8)),
            _ => ("", magnitude.ToString(CultureInfo.InvariantCulture)),
        };
        if (layout.Precision > digits.Length)
        {
            _c.Allocate(64L * layout.Precision);
            digits = digits.PadLeft(layout.Precision, '0');
        }

        AppendNumber(number.Sign < 0, layout.Alternate ? prefix : "", digits, layout, (NumberValue)value);
    }

    private void AppendFloat(Value value, char code, Layout layout)
    {
        double number = value switch
        {
            NumberValue real => real.ToDouble(),
            UndefinedValue undefined => throw _c.Fail(undefined.Message),
            _ => throw _c.Fail($"must be real number, not {value.TypeName}"),
        };
        if (value is IntegerValue && !double.IsFinite(number))
        {
            throw _c.Fail("integer too large to convert to float");
        }

        int precision = layout.Precision < 0 ? 6 : layout.Precision;
        _c.SpendOnDecimals(precision);
        string digits = FloatText.Format(Math.Abs(number), char.ToLowerInvariant(code), precision, layout.Alternate);
        digits = char.IsUpper(code) ? digits.ToUpperInvariant() : digits;
        AppendNumber(double.IsNegative(number) && !double.IsNaN(number), "", digits, layout, (NumberValue)value);
    }

    private void AppendNumber(bool isNegative, string prefix, string digits, Layout layout, NumberValue source)
    {
        bool fromTemplate = !source.FromInput;
        string head = (isNegative ? "-" : layout.Plus) + prefix;
        long padding = Math.Max(layout.Width - head.Length - digits.Length, 0);
        bool zeros = layout.Zero && !layout.Left;
        Pad(' ', layout.Left || zeros ? 0 : padding);
        _text.Append(head, fromTemplate);
        Pad('0', zeros ? padding : 0);
        _text.Append(digits, fromTemplate);
        Pad(' ', layout.Left ? padding : 0);
    }

    private void Pad(char fill, long count) => _text.Append(fill, _format.Provenance.IsAllTemplate, (int)Math.Min(count, int.MaxValue));

    private StringValue Character(Value value)
    {
        if (value is StringValue text)
        {
            return text.Length(_c) == 1 ? text : throw _c.Fail("%c requires int or char");
        }

        BigInteger code = value is NumberValue number and not FloatValue
            ? PythonNumber.ToInteger(number)
            : throw _c.Fail("%c requires int or char");
        bool isCharacter = code >= 0 && code <= 0x10FFFF && Rune.IsValid((int)code);
        return isCharacter ? StringValue.FromInput(new Rune((int)code).ToString()) : throw _c.Fail("%c arg not in range(0x110000)");
    }

    private char Peek() => _at < _format.Text.Length ? _format.Text[_at] : '\0';

    private Value Keyed()
    {
        if (_values is UndefinedValue undefined)
        {
            throw _c.Fail(undefined.Message);
        }

        if (_values is not (DictValue or ListValue or RangeValue))
        {
            throw _c.Fail("format requires a mapping");
        }

        int start = ++_at;
        int depth = 1;
        for (; depth > 0; _at++)
        {
            switch (Peek())
            {
                case '\0' when _at >= _format.Text.Length:
                    throw _c.Fail("incomplete format key");
                case '(':
                    depth++;
                    break;
                case ')':
                    depth--;
                    break;
            }
        }

        string key = _format.Text[start..(_at - 1)];
        return _values.Item(_c, StringValue.FromTemplate(key)) ?? throw _c.Fail($"format key '{key}' is not in the mapping");
    }

    private Value Next()
    {
        if (_tuple is null ? _used > 0 : _used >= _tuple.Length)
        {
            throw _c.Fail("not enough arguments for format string");
        }

        Value value = _tuple is null ? _values : _tuple[_used];
        _used++;
        return value;
    }

    private int Number()
    {
        if (Peek() == '*')
        {
            _at++;
            return Next() is IntegerValue given && BigInteger.Abs(given.Value) < int.MaxValue
                ? (int)given.Value
                : throw _c.Fail("* wants int");
        }

        long value = 0;
        for (; char.IsAsciiDigit(Peek()); _at++)
        {
            value = (value * 10) + (Peek() - '0');
            if (value >= int.MaxValue)
            {
                throw _c.Fail("width or precision too big");
            }
        }

        return (int)value;
    }
}
