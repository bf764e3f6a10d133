using System.Globalization;

namespace Sluice.Text.Jinja;

/// <content>The inside of <c>{{ }}</c> and <c>{% %}</c>: names, numbers, strings and operators.</content>
internal sealed partial class Lexer
{
    // Brackets still open. A closing delimiter counts only when there are none: in {{ {'a': {}} }} the first "}}" does not.
    private readonly Stack<char> _brackets = new();

    private void Code(int tag, bool isBlock)
    {
        _brackets.Clear();
        while (true)
        {
            int start = _position;
            if (start >= _source.Length)
            {
                throw Fail(isBlock
                    ? "missing end of statement block, expected '%}'"
                    : "missing end of print statement, expected '}}'", tag);
            }

            if (_brackets.Count == 0 && TryEnd(isBlock))
            {
                return;
            }

            char first = _source[start];
            if (PythonChar.IsSpace(first))
            {
                _position = SkipSpace(start);
            }
            else if (char.IsAsciiDigit(first))
            {
                Number(start);
            }
            else if (IsWord(start, out _))
            {
                Name(start);
            }
            else if (first is '\'' or '"')
            {
                String(start, first);
            }
            else
            {
                Operator(start);
            }
        }
    }

    private bool TryEnd(bool isBlock)
    {
        string close = isBlock ? "%}" : "}}";
        char sign = SignAt(_position);
        if (sign == '+' && !isBlock)
        {
            return false; // {{ x +}} is an unfinished sum: "+" controls whitespace at the end of blocks alone.
        }

        int at = sign == '\0' ? _position : _position + 1;
        if (!IsAt(at, close))
        {
            return false;
        }

        Add(isBlock ? TokenKind.BlockEnd : TokenKind.VariableEnd, close, _position);
        EndTag(at + 2, sign, trimsNewline: isBlock);
        return true;
    }

    private void Name(int start)
    {
        int end = start;
        while (IsWord(end, out int length))
        {
            end += length;
        }

        string name = _source[start..end];
        if (!IsIdentifier(name))
        {
            throw Fail($"invalid character in identifier '{name}'", start);
        }

        Add(TokenKind.Name, name, start);
        _position = end;
    }

    private bool IsWord(int index, out int length)
    {
        length = index + 1 < _source.Length && char.IsSurrogatePair(_source[index], _source[index + 1]) ? 2 : 1;
        if (index >= _source.Length)
        {
            return false;
        }

        return _source[index] == '_' || CharUnicodeInfo.GetUnicodeCategory(_source, index) is
            UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter or
            UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter or
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;
    }

    private static bool IsIdentifier(string name)
    {
        for (int i = 0; i < name.Length; i += char.IsSurrogatePair(name, i) ? 2 : 1)
        {
            UnicodeCategory category = CharUnicodeInfo.GetUnicodeCategory(name, i);
            if (category == UnicodeCategory.OtherNumber || (i == 0 && category == UnicodeCategory.DecimalDigitNumber))
            {
                return false;
            }
        }

        return true;
    }

    private void Number(int start)
    {
        // "a.1.2" reads an element of an element: after a dot there are no fractions.
        bool afterDot = start > 0 && _source[start - 1] == '.';
        int end = Digits(start, char.IsAsciiDigit);
        int floatEnd = afterDot ? start : FloatEnd(end);
        if (floatEnd > end)
        {
            Add(TokenKind.Float, Cleaned(start, floatEnd), start);
            _position = floatEnd;
            return;
        }

        end = IntegerEnd(start, end);
        Add(TokenKind.Integer, Cleaned(start, end), start);
        _position = end;
    }

    private string Cleaned(int start, int end) => _source[start..end].Replace("_", "", StringComparison.Ordinal);

    private int FloatEnd(int end)
    {
        int result = end;
        if (end + 1 < _source.Length && _source[end] == '.' && char.IsAsciiDigit(_source[end + 1]))
        {
            result = Digits(end + 1, char.IsAsciiDigit);
        }

        if (result < _source.Length && _source[result] is 'e' or 'E')
        {
            int exponent = result + 1;
            if (exponent < _source.Length && _source[exponent] is '+' or '-')
            {
                exponent++;
            }

            if (exponent < _source.Length && char.IsAsciiDigit(_source[exponent]))
            {
                return Digits(exponent, char.IsAsciiDigit);
            }
        }

        return result;
    }

    private int IntegerEnd(int start, int decimalEnd)
    {
        if (_source[start] != '0')
        {
            return decimalEnd;
        }

        Func<char, bool>? isDigit = start + 1 < _source.Length
            ? char.ToLowerInvariant(_source[start + 1]) switch
            {
                'x' => char.IsAsciiHexDigit,
                'o' => static c => c is >= '0' and <= '7',
                'b' => static c => c is '0' or '1',
                _ => null,
            }
            : null;
        if (isDigit is not null)
        {
            int first = start + 2 < _source.Length && _source[start + 2] == '_' ? start + 3 : start + 2;
            if (first < _source.Length && isDigit(_source[first]))
            {
                return Digits(first, isDigit);
            }
        }

        return Digits(start, static c => c == '0');
    }

    /// <summary>The end of a run of digits, single underscores between them allowed.</summary>
    private int Digits(int start, Func<char, bool> isDigit)
    {
        int end = start;
        while (end < _source.Length)
        {
            if (isDigit(_source[end]))
            {
                end++;
            }
            else if (_source[end] == '_' && end > start && end + 1 < _source.Length && isDigit(_source[end + 1]))
            {
                end += 2;
            }
            else
            {
                break;
            }
        }

        return end;
    }

    private void String(int start, char quote)
    {
        int end = start + 1;
        while (end < _source.Length && _source[end] != quote)
        {
            end += _source[end] == '\\' ? 2 : 1;
        }

        if (end >= _source.Length)
        {
            throw Fail("missing end of string", start);
        }

        string text = StringLiteral.Unescape(_source.AsSpan(start + 1, end - start - 1), out string? problem);
        if (problem is not null)
        {
            throw Fail(problem, start);
        }

        Add(TokenKind.String, text, start);
        _position = end + 1;
    }

    private void Operator(int start)
    {
        char next = start + 1 < _source.Length ? _source[start + 1] : '\0';
        (TokenKind kind, int length) = (_source[start], next) switch
        {
            ('/', '/') => (TokenKind.FloorDivide, 2),
            ('*', '*') => (TokenKind.Power, 2),
            ('=', '=') => (TokenKind.Equal, 2),
            ('!', '=') => (TokenKind.NotEqual, 2),
            ('>', '=') => (TokenKind.GreaterOrEqual, 2),
            ('<', '=') => (TokenKind.LessOrEqual, 2),
            ('+', _) => (TokenKind.Add, 1),
            ('-', _) => (TokenKind.Subtract, 1),
            ('*', _) => (TokenKind.Multiply, 1),
            ('/', _) => (TokenKind.Divide, 1),
            ('%', _) => (TokenKind.Modulo, 1),
            ('~', _) => (TokenKind.Tilde, 1),
            ('>', _) => (TokenKind.Greater, 1),
            ('<', _) => (TokenKind.Less, 1),
            ('=', _) => (TokenKind.Assign, 1),
            ('.', _) => (TokenKind.Dot, 1),
            (':', _) => (TokenKind.Colon, 1),
            (',', _) => (TokenKind.Comma, 1),
            (';', _) => (TokenKind.Semicolon, 1),
            ('|', _) => (TokenKind.Pipe, 1),
            ('(', _) => (TokenKind.LeftParenthesis, 1),
            (')', _) => (TokenKind.RightParenthesis, 1),
            ('[', _) => (TokenKind.LeftBracket, 1),
            (']', _) => (TokenKind.RightBracket, 1),
            ('{', _) => (TokenKind.LeftBrace, 1),
            ('}', _) => (TokenKind.RightBrace, 1),
            _ => throw Fail($"unexpected character '{_source[start]}'", start),
        };
        Balance(kind, start);
        Add(kind, _source.Substring(start, length), start);
        _position = start + length;
    }

    private void Balance(TokenKind kind, int start)
    {
        switch (kind)
        {
            case TokenKind.LeftParenthesis:
                _brackets.Push(')');
                break;
            case TokenKind.LeftBracket:
                _brackets.Push(']');
                break;
            case TokenKind.LeftBrace:
                _brackets.Push('}');
                break;
            case TokenKind.RightParenthesis or TokenKind.RightBracket or TokenKind.RightBrace:
                if (!_brackets.TryPop(out char expected))
                {
                    throw Fail($"unexpected '{_source[start]}'", start);
                }

                if (expected != _source[start])
                {
                    throw Fail($"unexpected '{_source[start]}', expected '{expected}'", start);
                }

                break;
        }
    }
}
