using System.Text;

namespace Sluice.Text.Jinja;

/// <summary>
/// Text under construction, with the origin of every character. All text of a rendering is made here, so here is where its cost is
/// counted.
/// </summary>
internal sealed class TextBuilder(RenderContext context, int maximumLength = int.MaxValue)
{
    private readonly StringBuilder _text = new();
    private readonly List<int> _flips = [];
    private bool _startsInTemplate;
    private bool _endsInTemplate;

    public RenderContext Context { get; } = context;

    public int Length => _text.Length;

    public void Append(ReadOnlySpan<char> text, bool fromTemplate)
    {
        if (text.IsEmpty)
        {
            return;
        }

        Charge(text.Length);
        Mark(fromTemplate);
        _text.Append(text);
    }

    public void Append(char c, bool fromTemplate, int count = 1)
    {
        if (count <= 0)
        {
            return;
        }

        Charge(count);
        Mark(fromTemplate);
        _text.Append(c, count);
    }

    public void Append(StringValue text) => Append(text, 0, text.Text.Length);

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

    public StringValue ToValue(bool isMarkup = false) =>
        new(_text.ToString(), new Provenance(_startsInTemplate, [.. _flips]), isMarkup);

    /// <summary>The text as segments; neighbours differ in origin and none is empty.</summary>
    public IReadOnlyList<PromptSegment> ToSegments()
    {
        string text = _text.ToString();
        List<PromptSegment> segments = new(_flips.Count + 1);
        bool fromTemplate = _startsInTemplate;
        int start = 0;
        foreach (int flip in _flips)
        {
            segments.Add(new PromptSegment(text[start..flip], fromTemplate));
            fromTemplate = !fromTemplate;
            start = flip;
        }

        if (start < text.Length)
        {
            segments.Add(new PromptSegment(text[start..], fromTemplate));
        }

        return segments;
    }

    private void Mark(bool fromTemplate)
    {
        if (_text.Length == 0)
        {
            _startsInTemplate = fromTemplate;
        }
        else if (fromTemplate != _endsInTemplate)
        {
            _flips.Add(_text.Length);
        }

        _endsInTemplate = fromTemplate;
    }

    private void Charge(int length)
    {
        Context.Allocate((long)length * sizeof(char));
        if (length > maximumLength - _text.Length)
        {
            throw Context.Fail($"limit OutputLength: the rendered text exceeds {maximumLength} characters");
        }
    }
}
