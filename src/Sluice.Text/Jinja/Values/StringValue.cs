using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>
/// A string, and where each of its characters came from. Positions and lengths that templates see count code points, as in Python;
/// inside, offsets count UTF-16 units, which is the same unless there are surrogates.
/// </summary>
internal sealed class StringValue : Value
{
    // 0: not looked yet, 1: none, 2: some.
    private byte _surrogates;

    public StringValue(string text, Provenance provenance, bool isMarkup = false)
    {
        Text = text;
        Provenance = provenance;
        IsMarkup = isMarkup;
    }

    public static StringValue Empty { get; } = FromTemplate("");

    public string Text { get; }

    public Provenance Provenance { get; }

    /// <summary>
    /// Whether the string is marked safe for HTML. Nothing is escaped when it is printed, but what is added to it is, as with
    /// Python's Markup.
    /// </summary>
    public bool IsMarkup { get; }

    public override string TypeName => IsMarkup ? "Markup" : "str";

    public override bool IsTrue => Text.Length > 0;

    public bool HasSurrogates
    {
        get
        {
            if (_surrogates == 0)
            {
                _surrogates = Text.AsSpan().ContainsAnyInRange('\ud800', '\udfff') ? (byte)2 : (byte)1;
            }

            return _surrogates == 2;
        }
    }

    public static StringValue FromTemplate(string text) => new(text, Provenance.Template);

    public static StringValue FromInput(string text) => new(text, Provenance.Input);

    public static StringValue Concat(RenderContext c, StringValue left, StringValue right)
    {
        if (left.IsMarkup || right.IsMarkup)
        {
            return Markup.Join(c, left, right);
        }

        if (left.Text.Length == 0 || right.Text.Length == 0)
        {
            return left.Text.Length == 0 ? right : left;
        }

        c.AllocateObject((long)sizeof(char) * (left.Text.Length + right.Text.Length));
        return new StringValue(left.Text + right.Text, Provenance.Join(left.Provenance, left.Text.Length, right.Provenance));
    }

    public StringValue WithMarkup(bool isMarkup) => isMarkup == IsMarkup ? this : new StringValue(Text, Provenance, isMarkup);

    /// <summary>UTF-16 units <paramref name="start"/> to <paramref name="end"/>.</summary>
    public StringValue Part(RenderContext c, int start, int end)
    {
        if (start == 0 && end == Text.Length)
        {
            return this;
        }

        c.AllocateObject((long)(end - start) * sizeof(char));
        return new StringValue(Text[start..end], Provenance.Slice(start, end - start), IsMarkup);
    }

    public override int? Length(RenderContext c)
    {
        if (!HasSurrogates)
        {
            return Text.Length;
        }

        c.SpendOnText(Text.Length);
        return CodePoints();
    }

    /// <summary>The UTF-16 offset after <paramref name="codePoints"/> more code points from <paramref name="offset"/>.</summary>
    public int Advance(int offset, int codePoints)
    {
        if (!HasSurrogates)
        {
            return offset + codePoints;
        }

        for (; codePoints > 0; codePoints--)
        {
            offset += WidthAt(offset);
        }

        return offset;
    }

    /// <summary>How many code points lie before the UTF-16 offset.</summary>
    public int CodePointsBefore(int offset)
    {
        if (!HasSurrogates)
        {
            return offset;
        }

        int count = 0;
        for (int at = 0; at < offset; at += WidthAt(at))
        {
            count++;
        }

        return count;
    }

    /// <summary>Units the code point at <paramref name="offset"/> takes; a lone surrogate takes one.</summary>
    public int WidthAt(int offset) => offset + 1 < Text.Length && char.IsSurrogatePair(Text[offset], Text[offset + 1]) ? 2 : 1;

    /// <summary>The code point at <paramref name="offset"/>; U+FFFD for a lone surrogate.</summary>
    public Rune RuneAt(int offset) => Rune.TryGetRuneAt(Text, offset, out Rune rune) ? rune : Rune.ReplacementChar;

    public override IEnumerable<Value> Iterate(RenderContext c)
    {
        for (int at = 0; at < Text.Length; at += WidthAt(at))
        {
            yield return Part(c, at, at + WidthAt(at)).WithMarkup(false);
        }
    }

    public override IEnumerable<Value> Reverse(RenderContext c) => Slicing.Reverse(c, this).Iterate(c);

    public override Value? Item(RenderContext c, Value key)
    {
        if (!Slicing.TryIndex(key, Length(c)!.Value, out int index))
        {
            return null;
        }

        c.SpendOnText(HasSurrogates ? index : 0);
        int at = Advance(0, index);
        return Part(c, at, at + WidthAt(at));
    }

    public override Value? Attribute(RenderContext c, string name) => StringMethods.Find(this, name);

    public override void AppendText(TextBuilder text) => text.Append(this);

    public override void AppendRepr(TextBuilder text)
    {
        if (IsMarkup)
        {
            text.Append("Markup(", fromTemplate: false);
            ReprText.Append(text, this);
            text.Append(")", fromTemplate: false);
        }
        else
        {
            ReprText.Append(text, this);
        }
    }

    private int CodePoints()
    {
        int count = 0;
        for (int at = 0; at < Text.Length; at += WidthAt(at))
        {
            count++;
        }

        return count;
    }
}
