using System.Text;

namespace Sluice.Text.Output;

/// <summary>Puts text of one kind together into as few parts as possible.</summary>
internal sealed class PartWriter
{
    private readonly StringBuilder _text = new();
    private List<OutputPart> _parts = [];
    private OutputPartKind _kind;
    private int _index;

    /// <summary>From here on parts go to <paramref name="parts"/>.</summary>
    public void Begin(List<OutputPart> parts) => _parts = parts;

    public void Write(OutputPartKind kind, ReadOnlySpan<char> text, int index = -1)
    {
        Switch(kind, index);
        _text.Append(text);
    }

    /// <summary>Moves <paramref name="text"/>, which is empty afterwards.</summary>
    public void Move(OutputPartKind kind, StringBuilder text, int index)
    {
        Switch(kind, index);
        _text.Append(text);
        text.Clear();
    }

    public void Add(OutputPart part)
    {
        Flush();
        _parts.Add(part);
    }

    /// <summary>Gives out what has been put together.</summary>
    public void Flush()
    {
        if (_text.Length == 0)
            return;
        string text = _text.ToString();
        _text.Clear();
        _parts.Add(_kind switch
        {
            OutputPartKind.Reasoning => OutputPart.Reasoning(text),
            OutputPartKind.Content => OutputPart.Content(text),
            _ => OutputPart.CallArguments(_index, text),
        });
    }

    private void Switch(OutputPartKind kind, int index)
    {
        if (kind == _kind && index == _index)
            return;
        Flush();
        _kind = kind;
        _index = index;
    }
}
