using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>
/// Text under construction, with the origin of every character. All text of a rendering is made here, so here is where its cost is
/// counted.
/// </summary>
internal sealed class TextBuilder(RenderContext context, int maximumLength = int.MaxValue)
{
    // What a macro or block writes is often one string whole, which is then the result as it is.
    private StringValue? _only;
    private StringBuilder? _text;
    private List<int>? _flips;
    private bool _startsInTemplate;
    private bool _endsInTemplate;

    public RenderContext Context { get; } = context;

    public int Length => _only is not null ? _only.Text.Length : _text?.Length ?? 0;

    public void Append(ReadOnlySpan<char> text, bool fromTemplate)
    {
        if (text.IsEmpty)
        {
            return;
        }

        Charge(text.Length);
        Written(fromTemplate).Append(text);
    }

    public void Append(char c, bool fromTemplate, int count = 1)
    {
        if (count <= 0)
        {
            return;
        }

        Charge(count);
        Written(fromTemplate).Append(c, count);
    }

    public void Append(StringValue text)
    {
        if (Length > 0)
        {
            Append(text, 0, text.Text.Length);
        }
        else if (text.Text.Length > 0)
        {
            Charge(text.Text.Length);
            _only = text;
        }
    }

    /// <summary>Appends UTF-16 units <paramref name="start"/> to <paramref name="end"/> of <paramref name="text"/>.</summary>
    public void Append(StringValue text, int start, int end)
    {
        while (start < end)
        {
            int runEnd = text.Provenance.RunEnd(start, end);
            Append(text.Text.AsSpan(start, runEnd - start), text.Provenance.IsTemplateAt(start));
            start = runEnd;
        }
    }

    /// <summary>Appends what <c>str(value)</c> gives.</summary>
    public void Append(Value value)
    {
        if (value is StringValue text)
        {
            Append(text);
            return;
        }

        Context.Enter();
        value.AppendText(this);
        Context.Leave();
    }

    /// <summary>Appends what <c>repr(value)</c> gives.</summary>
    public void AppendRepr(Value value)
    {
        Context.Enter();
        Context.Spend(1);
        value.AppendRepr(this);
        Context.Leave();
    }

    public StringValue ToValue(bool isMarkup = false) => _only is not null
        ? _only.WithMarkup(isMarkup)
        : new StringValue(_text?.ToString() ?? "", new Provenance(_startsInTemplate, _flips?.ToArray()), isMarkup);

    /// <summary>The text as segments; neighbours differ in origin and none is empty.</summary>
    public IReadOnlyList<PromptSegment> ToSegments()
    {
        StringValue value = ToValue();
        List<PromptSegment> segments = new((_flips?.Count ?? 0) + 1);
        for (int start = 0; start < value.Text.Length;)
        {
            int end = value.Provenance.RunEnd(start, value.Text.Length);
            segments.Add(new PromptSegment(value.Text[start..end], value.Provenance.IsTemplateAt(start)));
            start = end;
        }

        return segments;
    }

    /// <summary>The builder to write to, told the origin of what comes next.</summary>
    private StringBuilder Written(bool fromTemplate)
    {
        if (_only is { } first)
        {
            _only = null;
            for (int start = 0; start < first.Text.Length;)
            {
                int end = first.Provenance.RunEnd(start, first.Text.Length);
                Written(first.Provenance.IsTemplateAt(start)).Append(first.Text.AsSpan(start, end - start));
                start = end;
            }
        }

        _text ??= new StringBuilder();
        if (_text.Length == 0)
        {
            _startsInTemplate = fromTemplate;
        }
        else if (fromTemplate != _endsInTemplate)
        {
            (_flips ??= []).Add(_text.Length);
        }

        _endsInTemplate = fromTemplate;
        return _text;
    }

    private void Charge(int length)
    {
        Context.Spend(1);
        Context.Allocate((long)length * sizeof(char));
        if (length > maximumLength - Length)
        {
            throw Context.Fail($"limit OutputLength: the rendered text exceeds {maximumLength} characters");
        }
    }
}
