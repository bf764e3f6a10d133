using System.Text;

namespace Sluice.Text.Output;

/// <summary>What a character did to the value that a <see cref="JsonScanner"/> reads.</summary>
internal enum JsonStep
{
    /// <summary>It belongs to the value, which goes on.</summary>
    More,

    /// <summary>It is the last of the value.</summary>
    End,

    /// <summary>The value, a number, ended before it.</summary>
    EndBefore,

    /// <summary>No JSON value goes on like this.</summary>
    Invalid,
}

/// <summary>
/// Checks one JSON value that comes character by character, by RFC 8259 with one leniency: control characters inside strings, which
/// models write for line ends, pass; see <see cref="Append(StringBuilder, char)"/>. Nesting is bounded.
/// </summary>
internal sealed class JsonScanner
{
    /// <summary>Deepest nesting; what System.Text.Json takes by default.</summary>
    public const int MaxDepth = 64;

    // Bit 0 is the innermost container: 1 for an object, 0 for an array.
    private ulong _containers;
    private int _depth;
    private State _state = State.Value;
    private int _position;
    private string _literal = "";
    private bool _isKey;

    private enum State
    {
        Value,
        ValueOrEnd,
        Key,
        KeyOrEnd,
        Colon,
        AfterValue,
        String,
        Escape,
        Unicode,
        Literal,
        Minus,
        Zero,
        Integer,
        Point,
        Fraction,
        Exponent,
        ExponentSign,
        ExponentDigits,
        Done,
    }

    private bool InString => _state is State.String;

    /// <summary>Takes the next character and appends it to <paramref name="json"/> if it belongs to the value: a control character in a string as its escape.</summary>
    public JsonStep Append(StringBuilder json, char c)
    {
        bool needsEscape = InString && c < ' ';
        JsonStep step = Append(c);
        if (step is JsonStep.More or JsonStep.End)
        {
            if (needsEscape)
                JsonText.AppendEscaped(json, c);
            else
                json.Append(c);
        }

        return step;
    }

    /// <summary>The text as one JSON value that <see cref="Append(StringBuilder, char)"/> accepts, or null.</summary>
    public static string? Normalise(ReadOnlySpan<char> text)
    {
        var scanner = new JsonScanner();
        var json = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            switch (scanner.Append(json, text[i]))
            {
                case JsonStep.End when i == text.Length - 1:
                    return json.ToString();
                case JsonStep.More:
                    break;
                default:
                    return null;
            }
        }

        return scanner._depth == 0 && IsWholeNumber(scanner._state) ? json.ToString() : null;
    }

    /// <summary>Whether the text is one JSON value or can become one.</summary>
    internal static bool MayBegin(ReadOnlySpan<char> text)
    {
        var scanner = new JsonScanner();
        for (int i = 0; i < text.Length; i++)
        {
            JsonStep step = scanner.Append(text[i]);
            if (step != JsonStep.More)
                return step == JsonStep.End && i == text.Length - 1;
        }

        return true;
    }

    private JsonStep Append(char c)
    {
        switch (_state)
        {
            case State.Value:
            case State.ValueOrEnd:
                return IsSpace(c) ? JsonStep.More : BeginValue(c);
            case State.Key:
            case State.KeyOrEnd:
                return IsSpace(c) ? JsonStep.More : BeginKey(c);
            case State.Colon:
                return IsSpace(c) ? JsonStep.More : Go(c == ':', State.Value);
            case State.AfterValue:
                return IsSpace(c) ? JsonStep.More : AfterValue(c);
            case State.String:
                if (c == '"')
                    return _isKey ? Go(true, State.Colon) : EndValue(JsonStep.End);
                return Go(true, c == '\\' ? State.Escape : State.String);
            case State.Escape:
                _position = 0;
                return c == 'u' ? Go(true, State.Unicode) : Go("\"\\/bfnrt".Contains(c, StringComparison.Ordinal), State.String);
            case State.Unicode:
                return Go(char.IsAsciiHexDigit(c), ++_position == 4 ? State.String : State.Unicode);
            case State.Literal:
                if (c != _literal[_position])
                    return JsonStep.Invalid;
                return ++_position == _literal.Length ? EndValue(JsonStep.End) : JsonStep.More;
            case State.Done:
                return JsonStep.Invalid;
            default:
                return Number(c);
        }
    }

    private JsonStep BeginValue(char c)
    {
        if (c == ']' && _state == State.ValueOrEnd)
            return Close();
        switch (c)
        {
            case '{':
                return Open(isObject: true);
            case '[':
                return Open(isObject: false);
            case '"':
                _isKey = false;
                return Go(true, State.String);
            case '-':
                return Go(true, State.Minus);
            case '0':
                return Go(true, State.Zero);
            case >= '1' and <= '9':
                return Go(true, State.Integer);
            case 't':
                return BeginLiteral("true");
            case 'f':
                return BeginLiteral("false");
            case 'n':
                return BeginLiteral("null");
            default:
                return JsonStep.Invalid;
        }
    }

    private JsonStep BeginLiteral(string literal)
    {
        _literal = literal;
        _position = 1;
        return Go(true, State.Literal);
    }

    private JsonStep BeginKey(char c)
    {
        if (c == '}' && _state == State.KeyOrEnd)
            return Close();
        _isKey = true;
        return Go(c == '"', State.String);
    }

    private JsonStep AfterValue(char c)
    {
        bool inObject = (_containers & 1) != 0;
        if (c == ',')
            return Go(true, inObject ? State.Key : State.Value);
        return c == (inObject ? '}' : ']') ? Close() : JsonStep.Invalid;
    }

    private JsonStep Open(bool isObject)
    {
        if (_depth == MaxDepth)
            return JsonStep.Invalid;
        _depth++;
        _containers = (_containers << 1) | (isObject ? 1u : 0u);
        return Go(true, isObject ? State.KeyOrEnd : State.ValueOrEnd);
    }

    private JsonStep Close()
    {
        _depth--;
        _containers >>= 1;
        return EndValue(JsonStep.End);
    }

    // A value inside another is followed by more of that; how it ended matters only for the outermost.
    private JsonStep EndValue(JsonStep how)
    {
        if (_depth > 0)
            return Go(true, State.AfterValue);
        _state = State.Done;
        return how;
    }

    private JsonStep Number(char c)
    {
        bool isDigit = char.IsAsciiDigit(c);
        switch (_state)
        {
            case State.Minus:
                return Go(isDigit, c == '0' ? State.Zero : State.Integer);
            case State.Integer when isDigit:
            case State.Fraction when isDigit:
            case State.ExponentDigits when isDigit:
                return JsonStep.More;
            case State.Zero or State.Integer when c == '.':
                return Go(true, State.Point);
            case State.Zero or State.Integer or State.Fraction when c is 'e' or 'E':
                return Go(true, State.Exponent);
            case State.Point:
                return Go(isDigit, State.Fraction);
            case State.Exponent when c is '+' or '-':
                return Go(true, State.ExponentSign);
            case State.Exponent or State.ExponentSign:
                return Go(isDigit, State.ExponentDigits);
        }

        // The character is not the number's. Inside a container it comes next; there EndValue has moved on.
        return EndValue(JsonStep.EndBefore) == JsonStep.EndBefore ? JsonStep.EndBefore : Append(c);
    }

    private JsonStep Go(bool isValid, State next)
    {
        _state = next;
        return isValid ? JsonStep.More : JsonStep.Invalid;
    }

    private static bool IsWholeNumber(State state) => state is State.Zero or State.Integer or State.Fraction or State.ExponentDigits;

    private static bool IsSpace(char c) => c is ' ' or '\n' or '\r' or '\t';
}
