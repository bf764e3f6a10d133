using System.Globalization;

namespace Sluice.Text.Jinja;

/// <summary>Python's <c>str.format</c>. Fields reach only what a template itself can reach.</summary>
internal sealed class BraceFormat
{
    private readonly RenderContext _c;
    private readonly StringValue _format;
    private readonly Func<int, Value?> _byPosition;
    private readonly Func<string, Value?> _byName;
    private readonly bool _escapes;

    // Fields are numbered automatically or by hand, not both.
    private int _automatic;
    private bool _isManual;

    private BraceFormat(RenderContext c, StringValue format, Func<int, Value?> byPosition, Func<string, Value?> byName)
    {
        _c = c;
        _format = format;
        _byPosition = byPosition;
        _byName = byName;
        _escapes = format.IsMarkup;
    }

    public static StringValue Apply(RenderContext c, StringValue format, Arguments arguments)
    {
        Value? ByPosition(int index) => index < arguments.Positional.Length ? arguments.Positional[index] : null;
        Value? ByName(string name)
        {
            foreach ((StringValue key, Value value) in arguments.Named)
            {
                if (string.Equals(key.Text, name, StringComparison.Ordinal))
                {
                    return value;
                }
            }

            return null;
        }

        return new BraceFormat(c, format, ByPosition, ByName).Run();
    }

    /// <summary><c>format_map</c>.</summary>
    public static StringValue ApplyMap(RenderContext c, StringValue format, Value mapping) =>
        new BraceFormat(c, format, static _ => null, name => mapping.Item(c, StringValue.FromTemplate(name))).Run();

    private StringValue Run()
    {
        TextBuilder text = _c.NewText();
        Expand(text, 0, _format.Text.Length, depth: 0);
        return text.ToValue(_format.IsMarkup);
    }

    private void Expand(TextBuilder text, int start, int end, int depth)
    {
        if (depth > 1)
        {
            throw _c.Fail("max string recursion exceeded in a format string");
        }

        string source = _format.Text;
        int at = start;
        while (at < end)
        {
            int brace = source.AsSpan(at, end - at).IndexOfAny('{', '}');
            if (brace < 0)
            {
                text.Append(_format, at, end);
                return;
            }

            brace += at;
            text.Append(_format, at, brace);
            _c.Spend(1);
            if (brace + 1 < end && source[brace + 1] == source[brace])
            {
                text.Append(_format, brace, brace + 1);
                at = brace + 2;
            }
            else if (source[brace] == '}')
            {
                throw _c.Fail("single '}' encountered in format string");
            }
            else
            {
                at = FieldEnd(brace + 1, end);
                Field(text, brace + 1, at - 1, depth);
            }
        }
    }

    private int FieldEnd(int start, int end)
    {
        int open = 1;
        bool inBrackets = false;
        for (int i = start; i < end; i++)
        {
            char c = _format.Text[i];
            inBrackets = c == '[' || (inBrackets && c != ']');
            if (inBrackets)
            {
                continue;
            }

            open += c == '{' ? 1 : c == '}' ? -1 : 0;
            if (open == 0)
            {
                return i + 1;
            }
        }

        throw _c.Fail("expected '}' before end of format string");
    }

    private void Field(TextBuilder text, int start, int end, int depth)
    {
        string source = _format.Text;
        int nameEnd = NameEnd(start, end);
        Value value = Look(source[start..nameEnd]);

        char conversion = '\0';
        int at = nameEnd;
        if (at < end && source[at] == '!')
        {
            if (at + 1 >= end || (at + 2 < end && source[at + 2] != ':'))
            {
                throw _c.Fail("expected ':' after conversion specifier");
            }

            conversion = source[at + 1];
            at += 2;
        }

        TextBuilder spec = _c.NewText();
        if (at < end)
        {
            Expand(spec, at + 1, end, depth + 1);
        }

        Append(text, Converted(value, conversion), spec.ToValue().Text);
    }

    private int NameEnd(int start, int end)
    {
        bool inBrackets = false;
        for (int i = start; i < end; i++)
        {
            char c = _format.Text[i];
            inBrackets = c == '[' || (inBrackets && c != ']');
            if (!inBrackets && c is '!' or ':')
            {
                return i;
            }

            if (!inBrackets && c == '{')
            {
                throw _c.Fail("unexpected '{' in field name");
            }
        }

        return end;
    }

    private Value Converted(Value value, char conversion)
    {
        switch (conversion)
        {
            case '\0':
                return value;
            case 's':
                return _c.ToText(value);
            case 'r' or 'a':
                TextBuilder repr = _c.NewText();
                repr.AppendRepr(value);
                return repr.ToValue();
            default:
                throw _c.Fail($"unknown conversion specifier '{conversion}'");
        }
    }

    private void Append(TextBuilder text, Value value, string spec)
    {
        bool fromTemplate = _format.Provenance.IsAllTemplate;
        if (!_escapes)
        {
            FormatSpec.Append(text, value, spec, fromTemplate);
            return;
        }

        if (value is StringValue { IsMarkup: true } && spec.Length > 0)
        {
            throw _c.Fail("unsupported format specification for Markup");
        }

        TextBuilder formatted = _c.NewText();
        FormatSpec.Append(formatted, value, spec, fromTemplate);
        text.Append(Markup.Escape(_c, formatted.ToValue(value is StringValue { IsMarkup: true })));
    }

    /// <summary>The value of a field such as <c>0</c>, <c>name</c>, <c>user.name</c> or <c>items[2]</c>.</summary>
    private Value Look(string field)
    {
        int first = field.AsSpan().IndexOfAny('.', '[');
        first = first < 0 ? field.Length : first;
        Value value = First(field[..first]);
        int at = first;
        while (at < field.Length)
        {
            _c.Spend(1);
            if (field[at] == '.')
            {
                int end = field.AsSpan(at + 1).IndexOfAny('.', '[');
                end = end < 0 ? field.Length : at + 1 + end;
                string name = Part(field[(at + 1)..end]);
                value = Attributes.Get(_c, value, name, StringValue.FromTemplate(name));
                at = end;
            }
            else if (field[at] == '[')
            {
                int end = field.IndexOf(']', at);
                if (end < 0)
                {
                    throw _c.Fail("missing ']' in format string");
                }

                string key = Part(field[(at + 1)..end]);
                value = Attributes.GetItem(_c, value, Index(key) is { } index ? new IntegerValue(index) : StringValue.FromTemplate(key));
                at = end + 1;
            }
            else
            {
                throw _c.Fail("only '.' or '[' may follow ']' in format field specifier");
            }
        }

        return value;
    }

    private Value First(string name)
    {
        int? index = name.Length == 0 ? _automatic : Index(name);
        if (index is null)
        {
            return _byName(name) ?? throw _c.Fail($"format field '{name}' is not among the arguments");
        }

        bool isManual = name.Length > 0;
        if (isManual ? _automatic > 0 : _isManual)
        {
            throw _c.Fail("cannot switch between automatic and manual field numbering");
        }

        _isManual = isManual;
        _automatic += isManual ? 0 : 1;
        return _byPosition(index.Value) ?? throw _c.Fail($"replacement index {index} out of range for positional args tuple");
    }

    private string Part(string text) => text.Length > 0 ? text : throw _c.Fail("empty attribute in format string");

    private static int? Index(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int index) ? index : null;
}
