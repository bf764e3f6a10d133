using System.Text;

namespace Sluice.Text.Output;

/// <summary>
/// Reads <c>{"name": "...", "arguments": {...}}</c>. The arguments are passed on as the model wrote them. They may come before the
/// name, and are then kept until it is known; none, or null, mean <c>{}</c>. Other members are checked and dropped.
/// </summary>
internal sealed class JsonCallReader : CallReader
{
    private readonly StringBuilder _text = new();
    private JsonScanner _value = new();
    private Place _place = Place.Object;
    private Member _member;
    private bool _hasName;
    private bool _hasArguments;

    public JsonCallReader(IReadOnlyList<ToolSignature>? tools)
        : base(tools)
    {
    }

    private enum Place
    {
        Object,
        KeyOrEnd,
        Key,
        InKey,
        Colon,
        Value,
        InValue,
        AfterValue,
    }

    private enum Member
    {
        Name,
        Arguments,
        NoArguments,
        Other,
    }

    private CallState Going => _hasName && _hasArguments ? CallState.Started : CallState.Undecided;

    public override CallState Read(char c)
    {
        if (_place is Place.InKey or Place.InValue)
            return ReadValue(c);
        if (c is ' ' or '\n' or '\r' or '\t')
            return Going;
        switch (_place)
        {
            case Place.Object when c == '{':
                return Go(Place.KeyOrEnd);
            case Place.KeyOrEnd or Place.AfterValue when c == '}':
                return End();
            case Place.KeyOrEnd or Place.Key when c == '"':
                Begin(Place.InKey);
                return ReadValue(c);
            case Place.Colon when c == ':':
                return Go(Place.Value);
            case Place.Value when BeginMember(c):
                return ReadValue(c);
            case Place.AfterValue when c == ',':
                return Go(Place.Key);
            default:
                return CallState.Malformed;
        }
    }

    private CallState Go(Place next)
    {
        _place = next;
        return Going;
    }

    private void Begin(Place next)
    {
        _place = next;
        _text.Clear();
        _value = new JsonScanner();
    }

    private bool BeginMember(char c)
    {
        Begin(Place.InValue);
        if (_member == Member.Name)
            return c == '"';
        if (_member != Member.Arguments)
            return true;
        _hasArguments = c == '{';
        if (c == 'n')
            _member = Member.NoArguments;
        return c is '{' or 'n';
    }

    private CallState ReadValue(char c)
    {
        // Nobody reads the other members: they are checked, and not kept.
        bool keeps = _place == Place.InKey || _member != Member.Other;
        StringBuilder target = _place == Place.InValue && _member == Member.Arguments ? Arguments : _text;
        JsonStep step = _value.Append(target, c);
        if (!keeps)
            _text.Clear();
        if (step == JsonStep.Invalid || _text.Length > MaxNameLength)
            return CallState.Malformed;
        if (step == JsonStep.More)
            return Going;
        bool isValid = _place == Place.InKey ? EndKey() : EndMember();
        if (!isValid)
            return CallState.Malformed;
        return step == JsonStep.EndBefore ? Read(c) : Going;
    }

    private bool EndKey()
    {
        _place = Place.Colon;
        switch (JsonText.Decode(_text.ToString()))
        {
            case "name":
                _member = Member.Name;
                return !_hasName;
            case "arguments":
                _member = Member.Arguments;
                return !_hasArguments;
            case null:
                return false;
            default:
                _member = Member.Other;
                return true;
        }
    }

    private bool EndMember()
    {
        _place = Place.AfterValue;
        if (_member == Member.NoArguments)
        {
            Arguments.Append("{}");
            _hasArguments = true;
        }

        if (_member != Member.Name)
            return true;
        _hasName = true;
        return JsonText.Decode(_text.ToString()) is { } name && Accept(name);
    }

    private CallState End()
    {
        if (!_hasName)
            return CallState.Malformed;

        // Nothing was said of them.
        if (!_hasArguments)
            Arguments.Append("{}");
        return CallState.Complete;
    }
}
