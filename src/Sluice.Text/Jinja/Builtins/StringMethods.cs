using System.Buffers;
using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>
/// The methods of strings. All but a few return parts of the string or its characters mapped one by one, so that each character
/// keeps its origin.
/// </summary>
internal static partial class StringMethods
{
    private static readonly Methods Str = new("str",
    [
        Method("upper", "", static (c, s, _) => CaseMapping.Upper(c, s)),
        Method("lower", "", static (c, s, _) => CaseMapping.Lower(c, s)),
        Method("capitalize", "", static (c, s, _) => CaseMapping.Capitalize(c, s)),
        Method("title", "", static (c, s, _) => CaseMapping.Title(c, s)),
        Method("swapcase", "", static (c, s, _) => CaseMapping.SwapCase(c, s)),
        Method("strip", "chars?", static (c, s, a) => Strip(c, s, a.IsNone(0) ? null : a.Text(0))),
        Method("lstrip", "chars?", static (c, s, a) => Strip(c, s, a.IsNone(0) ? null : a.Text(0), atEnd: false)),
        Method("rstrip", "chars?", static (c, s, a) => Strip(c, s, a.IsNone(0) ? null : a.Text(0), atStart: false)),
        Method("removeprefix", "prefix", static (c, s, a) => RemovePrefix(c, s, a.Text(0).Text)),
        Method("removesuffix", "suffix", static (c, s, a) => RemoveSuffix(c, s, a.Text(0).Text)),
        Method("startswith", "prefix start? end?", static (c, s, a) => BoolValue.Of(HasAffix(c, s, a, atStart: true))),
        Method("endswith", "suffix start? end?", static (c, s, a) => BoolValue.Of(HasAffix(c, s, a, atStart: false))),
        Method("find", "sub start? end?", static (c, s, a) => new IntegerValue(Find(c, s, a, fromEnd: false))),
        Method("rfind", "sub start? end?", static (c, s, a) => new IntegerValue(Find(c, s, a, fromEnd: true))),
        Method("index", "sub start? end?", static (c, s, a) => Index(c, s, a, fromEnd: false)),
        Method("rindex", "sub start? end?", static (c, s, a) => Index(c, s, a, fromEnd: true)),
        Method("count", "sub start? end?", Count),
        Method("replace", "old new count?", static (c, s, a) =>
            Replace(c, s, a.Text(0), s.IsMarkup ? Markup.Escape(c, a.Text(1)) : a.Text(1), a.Integer(2, -1))),
        Method("join", "iterable", Join),
        Builtin.Define("split", "sep? maxsplit?", static (c, s, a) => Split(c, (StringValue)s, a, fromEnd: false)),
        Builtin.Define("rsplit", "sep? maxsplit?", static (c, s, a) => Split(c, (StringValue)s, a, fromEnd: true)),
        Builtin.Define("splitlines", "keepends?", static (c, s, a) => new ListValue([.. Lines(c, (StringValue)s, a.Flag(0))])),
        Method("partition", "sep", static (c, s, a) => Partition(c, s, a, fromEnd: false)),
        Method("rpartition", "sep", static (c, s, a) => Partition(c, s, a, fromEnd: true)),
        Method("center", "width fillchar?", static (c, s, a) => Pad(c, s, a, CenterBefore)),
        Method("ljust", "width fillchar?", static (c, s, a) => Pad(c, s, a, static (_, _) => 0)),
        Method("rjust", "width fillchar?", static (c, s, a) => Pad(c, s, a, static (padding, _) => padding)),
        Method("zfill", "width", ZeroFill),
        Builtin.Define("expandtabs", "tabsize?", ExpandTabs),
        Builtin.Variadic("format", static (c, s, a) => BraceFormat.Apply(c, (StringValue)s, a)),
        Method("format_map", "mapping", static (c, s, a) => BraceFormat.ApplyMap(c, s, a[0]!)),
        Method("isalpha", "", static (c, s, _) => All(c, s, PythonChar.IsLetter)),
        Method("isdigit", "", static (c, s, _) => All(c, s, PythonChar.IsDigit)),
        Method("isdecimal", "", static (c, s, _) => All(c, s, PythonChar.IsDecimal)),
        Method("isnumeric", "", static (c, s, _) => All(c, s, PythonChar.IsNumeric)),
        Method("isalnum", "", static (c, s, _) => All(c, s, PythonChar.IsAlphanumeric)),
        Method("isspace", "", static (c, s, _) => All(c, s, static rune => rune.IsBmp && PythonChar.IsSpace((char)rune.Value))),
        Method("isupper", "", static (c, s, _) => BoolValue.Of(Tests.HasCase(c, s, PythonChar.IsUpper, PythonChar.IsLower))),
        Method("islower", "", static (c, s, _) => BoolValue.Of(Tests.HasCase(c, s, PythonChar.IsLower, PythonChar.IsUpper))),
        Method("istitle", "", IsTitle),
        Method("isascii", "", static (c, s, _) => BoolValue.Of(s.Text.Length == 0 || All(c, s, static rune => rune.IsAscii).Value)),
    ]);

    public static Value? Find(StringValue self, string name) => Str.Find(self, name);

    /// <summary>Strips whitespace, or the characters given, at one end or both.</summary>
    public static StringValue Strip(RenderContext c, StringValue text, StringValue? characters, bool atStart = true, bool atEnd = true)
    {
        int start = 0;
        int end = text.Text.Length;
        if (characters is null)
        {
            while (atStart && start < end && PythonChar.IsSpace(text.Text[start]))
            {
                start++;
            }

            while (atEnd && end > start && PythonChar.IsSpace(text.Text[end - 1]))
            {
                end--;
            }
        }
        else
        {
            HashSet<Rune> set = [.. characters.Text.EnumerateRunes()];
            c.Spend(characters.Text.Length);
            while (atStart && start < end && set.Contains(text.RuneAt(start)))
            {
                start += text.WidthAt(start);
            }

            while (atEnd && end > start && EndsIn(set, text.Text.AsSpan(start, end - start), out int width))
            {
                end -= width;
            }
        }

        c.SpendOnText((long)start + text.Text.Length - end);
        return text.Part(c, start, end);
    }

    private static bool EndsIn(HashSet<Rune> set, ReadOnlySpan<char> text, out int width) =>
        Rune.DecodeLastFromUtf16(text, out Rune last, out width) == OperationStatus.Done && set.Contains(last);

    /// <summary>Replaces up to <paramref name="count"/> occurrences, all when negative.</summary>
    public static StringValue Replace(RenderContext c, StringValue text, StringValue old, StringValue replacement, int count)
    {
        TextSearch search = new(c, old.Text);
        TextBuilder result = c.NewText();
        int at = 0;
        if (old.Text.Length == 0)
        {
            // An empty pattern is found before every character and at the end.
            for (; count != 0 && at < text.Text.Length; count--)
            {
                result.Append(replacement);
                result.Append(text, at, at + text.WidthAt(at));
                at += text.WidthAt(at);
                c.Spend(1);
            }

            result.Append(text, at, text.Text.Length);
            if (count != 0)
            {
                result.Append(replacement);
            }

            return result.ToValue(text.IsMarkup);
        }

        for (; count != 0; count--)
        {
            int found = search.IndexIn(text.Text, at);
            if (found < 0)
            {
                break;
            }

            result.Append(text, at, found);
            result.Append(replacement);
            at = found + old.Text.Length;
        }

        if (at == 0)
        {
            return text;
        }

        result.Append(text, at, text.Text.Length);
        return result.ToValue(text.IsMarkup);
    }

    /// <summary><c>str.center</c> with spaces.</summary>
    public static StringValue Center(RenderContext c, StringValue text, int width) =>
        Padded(c, text, width, StringValue.FromTemplate(" "), CenterBefore);

    /// <summary>The lines, which end at any of Unicode's line breaks.</summary>
    public static IEnumerable<StringValue> Lines(RenderContext c, StringValue value, bool keepEnds)
    {
        string text = value.Text;
        for (int start = 0; start < text.Length;)
        {
            int end = start;
            while (end < text.Length && !PythonChar.IsLineBreak(text[end]))
            {
                end++;
            }

            int next = end == text.Length ? end : text[end] == '\r' && end + 1 < text.Length && text[end + 1] == '\n' ? end + 2 : end + 1;
            c.Spend(1);
            c.SpendOnText(next - start);
            yield return value.Part(c, start, keepEnds ? next : end);
            start = next;
        }
    }

    private static Builtin Method(string name, string parameters, Func<RenderContext, StringValue, Bound, Value> body) =>
        Builtin.Method(name, parameters, (c, self, a) => body(c, (StringValue)self, a));

    private static StringValue RemovePrefix(RenderContext c, StringValue text, string prefix)
    {
        c.SpendOnText(prefix.Length);
        return text.Text.StartsWith(prefix, StringComparison.Ordinal) ? text.Part(c, prefix.Length, text.Text.Length) : text;
    }

    private static StringValue RemoveSuffix(RenderContext c, StringValue text, string suffix)
    {
        c.SpendOnText(suffix.Length);
        return text.Text.EndsWith(suffix, StringComparison.Ordinal) ? text.Part(c, 0, text.Text.Length - suffix.Length) : text;
    }

    private static bool HasAffix(RenderContext c, StringValue text, Bound a, bool atStart)
    {
        (int start, int end) = Range(c, text, a);
        Value[] affixes = a[0] is TupleValue tuple ? tuple.Items : [a.Text(0)];
        foreach (Value affix in affixes)
        {
            string wanted = affix is StringValue given
                ? given.Text
                : throw c.Fail("startswith and endswith expect a string or a tuple of strings");
            c.SpendOnText(wanted.Length);
            if (start <= end && (atStart
                ? text.Text.AsSpan(start, end - start).StartsWith(wanted, StringComparison.Ordinal)
                : text.Text.AsSpan(start, end - start).EndsWith(wanted, StringComparison.Ordinal)))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>UTF-16 offsets of the optional bounds at arguments 1 and 2; the start is past the end for an impossible range.</summary>
    private static (int Start, int End) Range(RenderContext c, StringValue text, Bound a)
    {
        if (a.IsNone(1) && a.IsNone(2))
        {
            return (0, text.Text.Length);
        }

        int length = text.Length(c)!.Value;
        int start = a.IsNone(1) ? 0 : a.Integer(1, 0);
        int end = a.IsNone(2) ? length : Math.Min(a.Integer(2, length), length);
        start = start < 0 ? Math.Max(start + length, 0) : start;
        end = end < 0 ? Math.Max(end + length, 0) : end;
        return start > end ? (1, 0) : (text.Advance(0, start), text.Advance(0, end));
    }

    private static int Find(RenderContext c, StringValue text, Bound a, bool fromEnd)
    {
        (int start, int end) = Range(c, text, a);
        if (start > end)
        {
            return -1;
        }

        TextSearch search = new(c, a.Text(0).Text);
        int found = fromEnd ? search.LastIndexIn(text.Text, end) : search.IndexIn(text.Text, start);
        bool isInside = found >= start && found + a.Text(0).Text.Length <= end;
        return isInside ? text.CodePointsBefore(found) : -1;
    }

    private static IntegerValue Index(RenderContext c, StringValue text, Bound a, bool fromEnd)
    {
        int found = Find(c, text, a, fromEnd);
        return found >= 0 ? new IntegerValue(found) : throw c.Fail("substring not found");
    }

    private static IntegerValue Count(RenderContext c, StringValue text, Bound a)
    {
        (int start, int end) = Range(c, text, a);
        string wanted = a.Text(0).Text;
        if (start > end)
        {
            return new IntegerValue(0);
        }

        if (wanted.Length == 0)
        {
            return new IntegerValue(text.CodePointsBefore(end) - text.CodePointsBefore(start) + 1);
        }

        TextSearch search = new(c, wanted);
        int count = 0;
        while (search.IndexIn(text.Text, start) is var found and >= 0 && found + wanted.Length <= end)
        {
            count++;
            start = found + wanted.Length;
        }

        return new IntegerValue(count);
    }

    private static StringValue Join(RenderContext c, StringValue separator, Bound a)
    {
        TextBuilder text = c.NewText();
        int index = 0;
        foreach (Value item in c.Each(a[0]!))
        {
            if (index > 0)
            {
                text.Append(separator);
            }

            if (separator.IsMarkup)
            {
                text.Append(Markup.Escape(c, item));
            }
            else
            {
                text.Append(item as StringValue ?? throw c.Fail($"sequence item {index}: expected str instance, {item.TypeName} found"));
            }

            index++;
        }

        return text.ToValue(separator.IsMarkup);
    }

    private static StringValue Pad(RenderContext c, StringValue text, Bound a, Func<int, int, int> before)
    {
        StringValue fill = a.Text(1, StringValue.FromTemplate(" "));
        if (fill.Length(c) != 1)
        {
            throw c.Fail("the fill character must be exactly one character long");
        }

        return Padded(c, text, a.Integer(0, 0), fill, before);
    }

    // CPython puts the odd space before the text when the width is odd, after it otherwise.
    private static int CenterBefore(int padding, int width) => (padding / 2) + (padding & width & 1);

    // "before" says, from the padding and the width, how much of the padding comes before the text.
    private static StringValue Padded(RenderContext c, StringValue text, int width, StringValue fill, Func<int, int, int> before)
    {
        int padding = width - text.Length(c)!.Value;
        if (padding <= 0)
        {
            return text;
        }

        int left = before(padding, width);
        TextBuilder result = c.NewText();
        Repeat(c, result, fill, left);
        result.Append(text);
        Repeat(c, result, fill, padding - left);
        return result.ToValue(text.IsMarkup);
    }

    private static void Repeat(RenderContext c, TextBuilder to, StringValue fill, int count)
    {
        for (int i = 0; i < count; i++)
        {
            c.Spend(1);
            to.Append(fill);
        }
    }

    private static StringValue ZeroFill(RenderContext c, StringValue text, Bound a)
    {
        int padding = a.Integer(0, 0) - text.Length(c)!.Value;
        if (padding <= 0)
        {
            return text;
        }

        int sign = text.Text.Length > 0 && text.Text[0] is '+' or '-' ? 1 : 0;
        TextBuilder result = c.NewText();
        result.Append(text, 0, sign);
        result.Append('0', fromTemplate: false, padding);
        result.Append(text, sign, text.Text.Length);
        return result.ToValue(text.IsMarkup);
    }

    private static StringValue ExpandTabs(RenderContext c, Value self, Bound a)
    {
        StringValue text = (StringValue)self;
        int size = a.Integer(0, 8);
        TextBuilder result = c.NewText();
        int column = 0;
        for (int at = 0; at < text.Text.Length; at += text.WidthAt(at))
        {
            c.Spend(1);
            if (text.Text[at] == '\t')
            {
                int spaces = size > 0 ? size - (column % size) : 0;
                result.Append(' ', text.Provenance.IsTemplateAt(at), spaces);
                column += spaces;
                continue;
            }

            result.Append(text, at, at + text.WidthAt(at));
            column = text.Text[at] is '\n' or '\r' ? 0 : column + 1;
        }

        return result.ToValue(text.IsMarkup);
    }

    private static BoolValue All(RenderContext c, StringValue text, Func<Rune, bool> holds)
    {
        c.Spend(text.Text.Length >> 2);
        foreach (Rune rune in text.Text.EnumerateRunes())
        {
            if (!holds(rune))
            {
                return BoolValue.False;
            }
        }

        return BoolValue.Of(text.Text.Length > 0);
    }

    private static BoolValue IsTitle(RenderContext c, StringValue text, Bound a)
    {
        c.Spend(text.Text.Length >> 2);
        bool found = false;
        bool inWord = false;
        foreach (Rune rune in text.Text.EnumerateRunes())
        {
            bool startsWord = PythonChar.IsUpper(rune) || PythonChar.IsTitle(rune);
            if ((startsWord && inWord) || (PythonChar.IsLower(rune) && !inWord))
            {
                return BoolValue.False;
            }

            inWord = PythonChar.IsCased(rune);
            found |= inWord;
        }

        return BoolValue.Of(found);
    }
}
