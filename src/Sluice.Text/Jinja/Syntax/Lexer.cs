using Sluice.Core;

namespace Sluice.Text.Jinja;

/// <summary>
/// Splits a template into tokens and applies whitespace control, with <c>trim_blocks</c> and <c>lstrip_blocks</c> on as
/// transformers sets them: a newline after a block or comment is dropped, and so are the spaces between the start of a line and a
/// block or comment. <c>-</c> strips all whitespace on its side, <c>+</c> turns the two off.
/// </summary>
internal sealed partial class Lexer
{
    private readonly string _source;
    private readonly List<Token> _tokens = [];
    private int _position;

    // Whether the last tag consumed the newline at its end, so that the text after it starts a line.
    private bool _lineStarting = true;

    // Where the line being scanned starts; tokens come in order, so lines are counted once.
    private int _line = 1;
    private int _lineStart;
    private int _counted;

    private Lexer(string source) => _source = source;

    /// <summary>All tokens of <paramref name="source"/>, ending with <see cref="TokenKind.End"/>.</summary>
    public static List<Token> Tokenize(string source)
    {
        Lexer lexer = new(NormalizeNewlines(source));
        lexer.Template();
        lexer.Add(TokenKind.End, "", lexer._source.Length);
        return lexer._tokens;
    }

    // Jinja2 keeps "\n" alone as the line end and drops one at the end of the template.
    private static string NormalizeNewlines(string source)
    {
        if (source.Contains('\r', StringComparison.Ordinal))
        {
            source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        }

        return source.EndsWith('\n') ? source[..^1] : source;
    }

    private void Template()
    {
        while (_position < _source.Length)
        {
            int tag = FindTag();
            if (tag < 0)
            {
                AddData(_position, _source.Length);
                return;
            }

            if (_source[tag + 1] == '%' && IsRawBegin(tag, out char rawSign, out int rawBody))
            {
                AddData(_position, DataEnd(tag, rawSign, stripsLine: true));
                _lineStarting = _source[rawBody - 1] == '\n';
                _position = rawBody;
                Raw(tag);
                continue;
            }

            char sign = SignAt(tag + 2);
            AddData(_position, DataEnd(tag, sign, stripsLine: _source[tag + 1] != '{'));
            _position = tag + (sign == '\0' ? 2 : 3);
            switch (_source[tag + 1])
            {
                case '#':
                    Comment(tag);
                    break;
                case '%':
                    Add(TokenKind.BlockBegin, "{%", tag);
                    Code(tag, isBlock: true);
                    break;
                default:
                    Add(TokenKind.VariableBegin, "{{", tag);
                    Code(tag, isBlock: false);
                    break;
            }
        }
    }

    private int FindTag()
    {
        int from = _position;
        while (true)
        {
            int brace = _source.IndexOf('{', from);
            if (brace < 0 || brace + 1 >= _source.Length)
            {
                return -1;
            }

            if (_source[brace + 1] is '%' or '{' or '#')
            {
                return brace;
            }

            from = brace + 1;
        }
    }

    private char SignAt(int index) => index < _source.Length && _source[index] is '-' or '+' ? _source[index] : '\0';

    /// <summary>Where the text before the tag at <paramref name="tag"/> ends once its whitespace is dealt with.</summary>
    private int DataEnd(int tag, char sign, bool stripsLine)
    {
        int end = tag;
        if (sign == '-')
        {
            while (end > _position && PythonChar.IsSpace(_source[end - 1]))
            {
                end--;
            }
        }
        else if (sign != '+' && stripsLine)
        {
            int lineStart = end;
            while (lineStart > _position && _source[lineStart - 1] != '\n')
            {
                if (!PythonChar.IsSpace(_source[--lineStart]))
                {
                    return end;
                }
            }

            if (lineStart > _position || _lineStarting)
            {
                end = lineStart;
            }
        }

        return end;
    }

    private void Comment(int tag)
    {
        int close = _source.IndexOf("#}", _position, StringComparison.Ordinal);
        if (close < 0)
        {
            throw Fail("missing end of comment tag", tag);
        }

        char sign = close > _position ? SignAt(close - 1) : '\0';
        EndTag(close + 2, sign, trimsNewline: true);
    }

    /// <summary>Moves past a closing delimiter that ends at <paramref name="end"/>, with the whitespace it takes along.</summary>
    private void EndTag(int end, char sign, bool trimsNewline)
    {
        if (sign == '-')
        {
            end = SkipSpace(end);
        }
        else if (sign == '\0' && trimsNewline && end < _source.Length && _source[end] == '\n')
        {
            end++;
        }

        _lineStarting = _source[end - 1] == '\n';
        _position = end;
    }

    private bool IsRawBegin(int tag, out char sign, out int body)
    {
        sign = SignAt(tag + 2);
        int at = SkipSpace(tag + (sign == '\0' ? 2 : 3));
        body = at;
        if (!IsAt(at, "raw"))
        {
            return false;
        }

        at = SkipSpace(at + 3);
        if (IsAt(at, "-%}"))
        {
            body = SkipSpace(at + 3);
            return true;
        }

        body = at + 2;
        return IsAt(at, "%}");
    }

    private void Raw(int opening)
    {
        for (int from = _position; ;)
        {
            int tag = _source.IndexOf("{%", from, StringComparison.Ordinal);
            if (tag < 0)
            {
                throw Fail("missing end of raw directive", opening);
            }

            char sign = SignAt(tag + 2);
            int at = SkipSpace(tag + (sign == '\0' ? 2 : 3));
            if (IsAt(at, "endraw"))
            {
                at = SkipSpace(at + 6);
                char endSign = SignAt(at);
                int close = endSign == '\0' ? at : at + 1;
                if (IsAt(close, "%}"))
                {
                    AddData(_position, DataEnd(tag, sign, stripsLine: true));
                    EndTag(close + 2, endSign, trimsNewline: true);
                    return;
                }
            }

            from = tag + 2;
        }
    }

    private bool IsAt(int index, string text) => string.CompareOrdinal(_source, index, text, 0, text.Length) == 0;

    private int SkipSpace(int index)
    {
        while (index < _source.Length && PythonChar.IsSpace(_source[index]))
        {
            index++;
        }

        return index;
    }

    private void AddData(int start, int end)
    {
        if (end > start)
        {
            Add(TokenKind.Data, _source[start..end], start);
        }
    }

    private void Add(TokenKind kind, string text, int start) => _tokens.Add(new Token(kind, text, PositionOf(start)));

    private Position PositionOf(int index)
    {
        for (; _counted < index; _counted++)
        {
            if (_source[_counted] == '\n')
            {
                _line++;
                _lineStart = _counted + 1;
            }
        }

        return new Position(_line, index - _lineStart + 1);
    }

    private TemplateException Fail(string message, int index)
    {
        int line = 1;
        int lineStart = 0;
        for (int i = 0; i < index; i++)
        {
            if (_source[i] == '\n')
            {
                line++;
                lineStart = i + 1;
            }
        }

        return new TemplateException(message, line, index - lineStart + 1);
    }
}
