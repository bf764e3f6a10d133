using System.Globalization;
using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>Filters that make text.</summary>
internal static class TextFilters
{
    public static IEnumerable<Builtin> All { get; } =
    [
        Builtin.Define("string", "", static (c, value, _) => c.ToText(value)),
        Builtin.Define("upper", "", static (c, value, _) => CaseMapping.Upper(c, c.ToText(value))),
        Builtin.Define("lower", "", static (c, value, _) => CaseMapping.Lower(c, c.ToText(value))),
        Builtin.Define("capitalize", "", static (c, value, _) => CaseMapping.Capitalize(c, c.ToText(value))),
        Builtin.Define("title", "", static (c, value, _) => CaseMapping.TitleWords(c, c.ToText(value)).WithMarkup(false)),
        Builtin.Define("trim", "chars?", static (c, value, a) => StringMethods.Strip(c, c.ToText(value), a.IsNone(0) ? null : a.Text(0))),
        Builtin.Define("replace", "old new count?", Replace),
        Builtin.Define("center", "width?", static (c, value, a) => StringMethods.Center(c, c.ToText(value), a.Integer(0, 80))),
        Builtin.Define("indent", "width? first? blank?", Indent),
        Builtin.Define("truncate", "length? killwords? end? leeway?", Truncate),
        Builtin.Define("wordcount", "", WordCount),
        Builtin.Variadic("format", Format),
        Builtin.Define("safe", "", static (c, value, _) => c.ToText(value).WithMarkup(true)),
        Builtin.Define("escape", "", static (c, value, _) => Markup.Escape(c, value)),
        Builtin.Define("e", "", static (c, value, _) => Markup.Escape(c, value)),
        Builtin.Define("forceescape", "", static (c, value, _) => Markup.Escape(c, c.ToText(value).WithMarkup(false))),
        Builtin.Define("urlencode", "", UrlEncode),
        Builtin.Define("filesizeformat", "binary?", FileSize),
        Builtin.Define("tojson", "ensure_ascii? indent? separators? sort_keys?", ToJson),
    ];

    private static StringValue Replace(RenderContext c, Value value, Bound a)
    {
        StringValue old = c.ToText(a[0]!);
        StringValue replacement = c.ToText(a[1]!);
        int count = a.IsNone(2) ? -1 : a.Integer(2, -1);
        return StringMethods.Replace(c, c.ToText(value).WithMarkup(false), old, replacement.WithMarkup(false), count).WithMarkup(false);
    }

    private static StringValue Indent(RenderContext c, Value value, Bound a)
    {
        StringValue text = value as StringValue ?? throw c.Fail($"indent expects a string, got '{value.TypeName}'");
        bool blank = a.Flag(2);
        int width = a[0] is StringValue ? 0 : Math.Max(a.Integer(0, 4), 0);
        TextBuilder result = c.NewText();
        void AppendIndention()
        {
            if (a[0] is StringValue given)
            {
                result.Append(given);
            }

            result.Append(' ', fromTemplate: true, width);
        }

        if (a.Flag(1))
        {
            AppendIndention();
        }

        // The newline Jinja2 adds first makes a text that ends with one keep it.
        TextBuilder extended = c.NewText();
        extended.Append(text);
        extended.Append('\n', fromTemplate: true);
        bool isFirst = true;
        foreach (StringValue line in StringMethods.Lines(c, extended.ToValue(), keepEnds: false))
        {
            if (!isFirst)
            {
                result.Append('\n', fromTemplate: true);
                if (blank || line.Text.Length > 0)
                {
                    AppendIndention();
                }
            }

            isFirst = false;
            result.Append(line);
        }

        return result.ToValue(text.IsMarkup);
    }

    private static Value Truncate(RenderContext c, Value value, Bound a)
    {
        int length = a.Integer(0, 255);
        StringValue end = a.Text(2, StringValue.FromTemplate("..."));
        int leeway = a.IsNone(3) ? 5 : a.Integer(3, 5);
        int endLength = end.Length(c)!.Value;
        if (length < endLength || leeway < 0)
        {
            throw c.Fail(leeway < 0
                ? $"truncate expects leeway >= 0, got {leeway}"
                : $"truncate expects length >= {endLength}, got {length}");
        }

        if (value.Length(c) <= (long)length + leeway)
        {
            return value;
        }

        StringValue text = value as StringValue ?? throw c.Fail($"truncate expects a string, got '{value.TypeName}'");

        StringValue kept = text.Part(c, 0, text.Advance(0, length - endLength));
        if (!a.Flag(1))
        {
            int space = kept.Text.LastIndexOf(' ');
            kept = space < 0 ? kept : kept.Part(c, 0, space);
        }

        return StringValue.Concat(c, kept, end);
    }

    private static IntegerValue WordCount(RenderContext c, Value value, Bound a)
    {
        int words = 0;
        bool inWord = false;
        string text = c.ToText(value).Text;
        c.Spend(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
        {
            bool isWord = rune.Value == '_' || PythonChar.IsAlphanumeric(rune);
            words += isWord && !inWord ? 1 : 0;
            inWord = isWord;
        }

        return new IntegerValue(words);
    }

    private static StringValue Format(RenderContext c, Value value, Arguments arguments)
    {
        StringValue format = c.ToText(value);
        if (arguments.Named.Count == 0)
        {
            return PercentFormat.Apply(c, format, new TupleValue(arguments.Positional));
        }

        if (arguments.Positional.Length > 0)
        {
            throw c.Fail("format cannot handle positional and keyword arguments at the same time");
        }

        DictValue named = new(c);
        foreach ((StringValue name, Value argument) in arguments.Named)
        {
            named.Set(c, name, argument);
        }

        return PercentFormat.Apply(c, format, named);
    }

    private static StringValue UrlEncode(RenderContext c, Value value, Bound a)
    {
        TextBuilder text = c.NewText();
        if (value is StringValue || value.Iterate(c) is null)
        {
            Quote(text, c.ToText(value), isQuery: false);
            return text.ToValue();
        }

        Value pairs = value is DictValue dict ? new DictView(dict, DictPart.Items) : value;
        foreach (Value pair in c.Each(pairs))
        {
            Value[] parts = c.ToArray(pair);
            if (parts.Length != 2)
            {
                throw c.Fail("urlencode expects a string, a dict or pairs");
            }

            if (text.Length > 0)
            {
                text.Append('&', fromTemplate: true);
            }

            Quote(text, c.ToText(parts[0]), isQuery: true);
            text.Append('=', fromTemplate: true);
            Quote(text, c.ToText(parts[1]), isQuery: true);
        }

        return text.ToValue();
    }

    private static void Quote(TextBuilder to, StringValue text, bool isQuery)
    {
        Span<byte> utf8 = stackalloc byte[4];
        for (int at = 0; at < text.Text.Length; at += text.WidthAt(at))
        {
            Rune rune = text.RuneAt(at);
            bool fromTemplate = text.Provenance.IsTemplateAt(at);
            bool isPlain = rune.IsAscii && (char.IsAsciiLetterOrDigit((char)rune.Value) || rune.Value is '_' or '.' or '-' or '~');
            if (isPlain || (rune.Value == '/' && !isQuery))
            {
                to.Append((char)rune.Value, fromTemplate);
            }
            else if (rune.Value == ' ' && isQuery)
            {
                to.Append('+', fromTemplate);
            }
            else
            {
                int bytes = rune.EncodeToUtf8(utf8);
                foreach (byte b in utf8[..bytes])
                {
                    to.Append(string.Create(CultureInfo.InvariantCulture, $"%{b:X2}"), fromTemplate);
                }
            }
        }
    }

    private static StringValue FileSize(RenderContext c, Value value, Bound a)
    {
        double bytes = NumberFilters.ToFloat(c, value) ?? throw c.Fail($"filesizeformat expects a number, got '{value.TypeName}'");
        bool isBinary = a.Flag(0);
        double unit = isBinary ? 1024 : 1000;
        string text;
        if (bytes == 1)
        {
            text = "1 Byte";
        }
        else if (bytes < unit)
        {
            text = string.Create(CultureInfo.InvariantCulture, $"{Math.Truncate(bytes):0} Bytes");
        }
        else
        {
            const string Prefixes = "kMGTPEZY";
            int power = 0;
            double divisor = unit;
            while (power + 1 < Prefixes.Length && bytes >= divisor * unit)
            {
                divisor *= unit;
                power++;
            }

            char prefix = isBinary ? char.ToUpperInvariant(Prefixes[power]) : Prefixes[power];
            text = $"{FloatText.Format(bytes / divisor, 'f', 1)} {prefix}{(isBinary ? "iB" : "B")}";
        }

        bool fromTemplate = value is NumberValue { FromInput: false } or StringValue { Provenance.IsAllTemplate: true };
        return fromTemplate ? StringValue.FromTemplate(text) : StringValue.FromInput(text);
    }

    private static StringValue ToJson(RenderContext c, Value value, Bound a)
    {
        StringValue? indent = a[1] switch
        {
            null or NoneValue => null,
            StringValue text => text,
            _ => StringValue.FromInput(new string(' ', Math.Clamp(a.Integer(1, 0), 0, 1000))),
        };
        StringValue items = StringValue.FromInput(indent is null ? ", " : ",");
        StringValue keys = StringValue.FromInput(": ");
        if (!a.IsNone(2))
        {
            Value[] separators = c.ToArray(a[2]!);
            if (separators is not [StringValue given, StringValue givenKeys])
            {
                throw c.Fail("separators must be a pair of strings");
            }

            (items, keys) = (given, givenKeys);
        }

        TextBuilder json = c.NewText();
        new JsonText(json, a.Flag(0), indent, items, keys, a.Flag(3)).Append(value);
        return json.ToValue();
    }
}
