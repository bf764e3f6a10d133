using System.Text;

namespace Sluice.Text.Output;

/// <summary>
/// Reads <c>&lt;function=name&gt;</c>, any number of <c>&lt;parameter=key&gt;</c> value <c>&lt;/parameter&gt;</c>, <c>&lt;/function&gt;</c>, and writes
/// JSON. One line end after a parameter's tag and one before its end tag are layout; the rest of the value is taken as it is. An
/// end tag counts only if another parameter or the function's end follows, so that a value may hold one.
/// </summary>
internal sealed class XmlCallReader : CallReader
{
    private static readonly string[] FunctionTag = [Tags.Function];
    private static readonly string[] ParameterEndTag = [Tags.ParameterEnd];
    private static readonly string[] NextTags = [Tags.Parameter, Tags.FunctionEnd];

    private readonly HashSet<string> _keys = new(StringComparer.Ordinal);
    private readonly StringBuilder _text = new();
    private readonly StringBuilder _gap = new();
    private TagMatcher _tag;
    private Place _place;
    private ParameterWriter? _value;
    private bool _isFirstOfValue;
    private bool _holdsNewline;

    /// <summary>Reads from after <c>&lt;tool_call&gt;</c>, or from after <c>&lt;function=</c> for models that leave out the former.</summary>
    public XmlCallReader(IReadOnlyList<ToolSignature>? tools, bool isInFunctionTag)
        : base(tools) => _place = isInFunctionTag ? Place.Name : Place.Opening;

    private enum Place
    {
        Opening,
        Name,
        Inside,
        Key,
        Value,
        AfterValue,
    }

    public override int Backlog => _tag.Held.Length;

    public override int Held => (_holdsNewline ? 1 : 0) + (_place == Place.AfterValue ? Tags.ParameterEnd.Length : 0) + _gap.Length + _tag.Held.Length;

    public override CallState Read(char c)
    {
        switch (_place)
        {
            case Place.Opening:
                return ReadTag(c, FunctionTag);
            case Place.Name:
                if (c != '>')
                    return ReadName(c, CallState.Undecided);
                _place = Place.Inside;
                return Accept(TakeText()) ? CallState.Undecided : CallState.Malformed;
            case Place.Inside:
                return ReadTag(c, NextTags);
            case Place.Key:
                return c == '>' ? BeginValue() : ReadName(c, CallState.Started);
            case Place.Value:
                return ReadValue(c);
            default:
                return ReadAfterValue(c);
        }
    }

    private CallState ReadTag(char c, string[] tags)
    {
        if (_tag.IsEmpty && char.IsWhiteSpace(c))
            return CallState.Undecided;
        return _tag.Append(c, tags) switch
        {
            TagMatch.None => CallState.Malformed,
            TagMatch.Partial => CallState.Undecided,
            _ => EnterTag(),
        };
    }

    private CallState EnterTag()
    {
        switch (_tag.Take())
        {
            case Tags.Function:
                _place = Place.Name;
                return CallState.Undecided;
            case Tags.Parameter:
                if (_keys.Count == 0)
                    Arguments.Append('{');
                _place = Place.Key;
                return CallState.Started;
            default:
                Arguments.Append(_keys.Count == 0 ? "{}" : "}");
                return CallState.Complete;
        }
    }

    private CallState ReadName(char c, CallState going)
    {
        if (c is '<' or '\n' or '\r' || _text.Length == MaxNameLength)
            return CallState.Malformed;
        _text.Append(c);
        return going;
    }

    private string TakeText()
    {
        string text = _text.ToString();
        _text.Clear();
        return text;
    }

    private CallState BeginValue()
    {
        string key = TakeText();
        bool isFirst = _keys.Count == 0;
        if (key.Length == 0 || !_keys.Add(key))
            return CallState.Malformed;
        _value = new ParameterWriter(Arguments, key, Signature?.TypesOf(key) ?? JsonTypes.None, isFirst);
        _place = Place.Value;
        _isFirstOfValue = true;
        return CallState.Started;
    }

    private CallState ReadValue(char c)
    {
        bool isFirst = _isFirstOfValue;
        _isFirstOfValue = false;
        if (isFirst && c == '\n')
            return CallState.Started;
        switch (_tag.Append(c, ParameterEndTag))
        {
            case TagMatch.Full:
                _tag.Take();
                _place = Place.AfterValue;
                break;
            case TagMatch.None when !_tag.IsEmpty:
                Release(_tag.Take());
                return ReadValue(c);
            case TagMatch.None when c == '\n':
                Release("");
                _holdsNewline = true;
                break;
            case TagMatch.None:
                Release("");
                _value!.Append(c);
                break;
        }

        return CallState.Started;
    }

    private CallState ReadAfterValue(char c)
    {
        if (_tag.IsEmpty && char.IsWhiteSpace(c))
        {
            _gap.Append(c);
            return CallState.Started;
        }

        switch (_tag.Append(c, NextTags))
        {
            case TagMatch.Partial:
                return CallState.Started;
            case TagMatch.Full:
                _value!.End();
                _holdsNewline = false;
                _gap.Clear();
                return EnterTag();
        }

        // The end tag was part of the value. What came after it may hold the beginning of the real one.
        string rest = _gap.ToString() + _tag.Take();
        _gap.Clear();
        Release(Tags.ParameterEnd);
        _place = Place.Value;
        foreach (char held in rest)
            ReadValue(held);
        return ReadValue(c);
    }

    // What was held back is the value's.
    private void Release(string text)
    {
        if (_holdsNewline)
            _value!.Append('\n');
        _holdsNewline = false;
        foreach (char c in text)
            _value!.Append(c);
    }
}
