namespace Sluice.Text.Jinja;

/// <content>Splitting: at a separator or at whitespace, from the start or from the end.</content>
internal static partial class StringMethods
{
    private static ListValue Split(RenderContext c, StringValue text, Bound a, bool fromEnd)
    {
        int limit = a.Integer(1, -1);
        List<Value> parts = a.IsNone(0)
            ? fromEnd ? SplitSpaceFromEnd(c, text, limit) : SplitSpace(c, text, limit)
            : SplitAt(c, text, NotEmpty(c, a.Text(0)), limit, fromEnd);
        if (fromEnd)
        {
            parts.Reverse();
        }

        c.AllocateItems(parts.Count);
        return new ListValue([.. parts]);
    }

    private static string NotEmpty(RenderContext c, StringValue separator) =>
        separator.Text.Length > 0 ? separator.Text : throw c.Fail("empty separator");

    private static List<Value> SplitAt(RenderContext c, StringValue text, string separator, int limit, bool fromEnd)
    {
        List<Value> parts = [];
        TextSearch search = new(c, separator);
        int start = 0;
        int end = text.Text.Length;
        for (; limit != 0; limit--)
        {
            int found = fromEnd ? search.LastIndexIn(text.Text, end) : search.IndexIn(text.Text, start);
            if (found < 0)
            {
                break;
            }

            int after = found + separator.Length;
            parts.Add(fromEnd ? text.Part(c, after, end) : text.Part(c, start, found));
            (start, end) = fromEnd ? (start, found) : (after, end);
        }

        parts.Add(text.Part(c, start, end));
        return parts;
    }

    private static List<Value> SplitSpace(RenderContext c, StringValue text, int limit)
    {
        List<Value> parts = [];
        string s = text.Text;
        c.SpendOnText(s.Length);
        int at = 0;
        while (true)
        {
            while (at < s.Length && PythonChar.IsSpace(s[at]))
            {
                at++;
            }

            if (at == s.Length)
            {
                return parts;
            }

            int start = at;
            if (limit-- == 0)
            {
                parts.Add(text.Part(c, start, s.Length));
                return parts;
            }

            while (at < s.Length && !PythonChar.IsSpace(s[at]))
            {
                at++;
            }

            parts.Add(text.Part(c, start, at));
        }
    }

    // The parts come last first.
    private static List<Value> SplitSpaceFromEnd(RenderContext c, StringValue text, int limit)
    {
        List<Value> parts = [];
        string s = text.Text;
        c.SpendOnText(s.Length);
        int at = s.Length;
        while (true)
        {
            while (at > 0 && PythonChar.IsSpace(s[at - 1]))
            {
                at--;
            }

            if (at == 0)
            {
                return parts;
            }

            int end = at;
            if (limit-- == 0)
            {
                parts.Add(text.Part(c, 0, end));
                return parts;
            }

            while (at > 0 && !PythonChar.IsSpace(s[at - 1]))
            {
                at--;
            }

            parts.Add(text.Part(c, at, end));
        }
    }

    private static TupleValue Partition(RenderContext c, StringValue text, Bound a, bool fromEnd)
    {
        string separator = NotEmpty(c, a.Text(0));
        TextSearch search = new(c, separator);
        int found = fromEnd ? search.LastIndexIn(text.Text, text.Text.Length) : search.IndexIn(text.Text, 0);
        StringValue empty = StringValue.Empty.WithMarkup(text.IsMarkup);
        c.AllocateItems(3);
        if (found < 0)
        {
            return fromEnd ? new TupleValue([empty, empty, text]) : new TupleValue([text, empty, empty]);
        }

        int after = found + separator.Length;
        return new TupleValue([text.Part(c, 0, found), text.Part(c, found, after), text.Part(c, after, text.Text.Length)]);
    }
}
