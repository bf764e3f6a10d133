namespace Sluice.Text.Jinja;

/// <summary>
/// HTML escaping. Nothing is escaped when it is printed, but <c>safe</c> and <c>escape</c> mark a string, and what is then added
/// to it is escaped, as Python's MarkupSafe does; some chat templates rely on it without knowing.
/// </summary>
internal static class Markup
{
    /// <summary>Escapes a value unless it is marked safe already; the result is marked.</summary>
    public static StringValue Escape(RenderContext c, Value value)
    {
        StringValue text = c.ToText(value);
        if (text.IsMarkup)
        {
            return text;
        }

        if (text.Text.AsSpan().IndexOfAny("&<>'\"") < 0)
        {
            c.SpendOnText(text.Text.Length);
            return text.WithMarkup(true);
        }

        TextBuilder escaped = c.NewText();
        int plain = 0;
        for (int i = 0; i < text.Text.Length; i++)
        {
            string? entity = text.Text[i] switch
            {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '\'' => "&#39;",
                '"' => "&#34;",
                _ => null,
            };
            if (entity is not null)
            {
                escaped.Append(text, plain, i);
                escaped.Append(entity, text.Provenance.IsTemplateAt(i));
                plain = i + 1;
            }
        }

        escaped.Append(text, plain, text.Text.Length);
        return escaped.ToValue(isMarkup: true);
    }

    /// <summary>The sum of two strings of which one is marked.</summary>
    public static StringValue Join(RenderContext c, StringValue left, StringValue right)
    {
        TextBuilder text = c.NewText();
        text.Append(Escape(c, left));
        text.Append(Escape(c, right));
        return text.ToValue(isMarkup: true);
    }
}
