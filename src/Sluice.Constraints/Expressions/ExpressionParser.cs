using System.Globalization;
using Sluice.Constraints.Automata;

namespace Sluice.Constraints.Expressions;

/// <summary>
/// Reads regular expressions: the part of ECMAScript's syntax that is regular, with the <c>u</c> flag. Look-around, back-references and word
/// boundaries are refused; laziness changes no language and is accepted.
/// </summary>
internal sealed class ExpressionParser
{
    // Beyond this, expanding a counted repetition could not stay within the limits anyway.
    private const int LargestCount = 100_000;

    private readonly string _source;
    private readonly CompileBudget _budget;
    private int _at;
    private int _depth;

    private ExpressionParser(string source, CompileBudget budget)
    {
        _source = source;
        _budget = budget;
    }

    /// <summary>Reads an expression that must match the whole text.</summary>
    public static Pattern ParseWhole(string source, CompileBudget budget) => Anchors.Whole(ParseTree(source, budget), budget);

    /// <summary>Reads an expression that must match somewhere in the text, as JSON Schema's patterns do.</summary>
    public static Pattern ParseSearch(string source, CompileBudget budget) => Anchors.Search(ParseTree(source, budget), budget);

    private static Pattern ParseTree(string source, CompileBudget budget)
    {
        budget.CheckText(source, "an expression");
        var parser = new ExpressionParser(source, budget);
        Pattern pattern = parser.ParseChoice();
        if (parser._at < source.Length)
            throw parser.Fail("unmatched )");
        return pattern;
    }

    private Pattern ParseChoice()
    {
        if (++_depth > _budget.Limits.Depth)
            throw _budget.TooDeep();
        var branches = new List<Pattern> { ParseSequence() };
        while (TryTake('|'))
            branches.Add(ParseSequence());
        _depth--;
        return Pattern.Choice([.. branches]);
    }

    private Pattern ParseSequence()
    {
        var parts = new List<Pattern>();
        while (_at < _source.Length && _source[_at] is not ('|' or ')'))
        {
            _budget.ChargeNodes();
            parts.Add(ParseRepeated());
        }

        return Pattern.Sequence([.. parts]);
    }

    private Pattern ParseRepeated()
    {
        int start = _at;
        Pattern atom = ParseAtom();
        if (!TryParseCount(out int min, out int? max))
            return atom;
        if (atom is AnchorPattern)
            throw Fail("an anchor cannot be repeated", start);
        TryTake('?');
        if (_at < _source.Length && (_source[_at] is '*' or '+' or '?' || IsCount()))
            throw Fail("nothing to repeat");
        return atom.Repeat(min, max);
    }

    private bool TryParseCount(out int min, out int? max)
    {
        (min, max) = (0, null);
        if (TryTake('*'))
            return true;
        if (TryTake('+'))
        {
            min = 1;
            return true;
        }

        if (TryTake('?'))
        {
            max = 1;
            return true;
        }

        if (!IsCount())
            return false;
        int start = _at++;
        min = ParseNumber();
        max = min;
        if (TryTake(','))
            max = _source[_at] == '}' ? null : ParseNumber();
        _at++;
        if (max < min)
            throw Fail("numbers out of order", start);
        return true;
    }

    /// <summary>Whether a count such as {2,3} comes next; other braces are text or an error.</summary>
    private bool IsCount()
    {
        if (_at >= _source.Length || _source[_at] != '{')
            return false;
        int i = _at + 1, digits = i;
        while (i < _source.Length && char.IsAsciiDigit(_source[i]))
            i++;
        if (i == digits)
            return false;
        if (i < _source.Length && _source[i] == ',')
        {
            i++;
            while (i < _source.Length && char.IsAsciiDigit(_source[i]))
                i++;
        }

        return i < _source.Length && _source[i] == '}';
    }

    private int ParseNumber()
    {
        int start = _at;
        while (char.IsAsciiDigit(_source[_at]))
            _at++;
        return int.TryParse(_source.AsSpan(start, _at - start), NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value <= LargestCount
            ? value
            : throw _budget.TooComplex($"expected repetitions of at most {LargestCount}, found {_source[start.._at][..Math.Min(_at - start, 20)]}");
    }

    private Pattern ParseAtom()
    {
        int start = _at;
        char c = _source[_at++];
        switch (c)
        {
            case '(':
                return ParseGroup();
            case '[':
                return new SetPattern(ParseClass());
            case '.':
                return new SetPattern(CharacterClasses.NotLineEnd);
            case '^':
                return AnchorPattern.Start;
            case '$':
                return AnchorPattern.End;
            case '\\':
                return new SetPattern(ParseEscape(inClass: false));
            case '*' or '+' or '?':
                throw Fail("nothing to repeat", start);
            case '{' or '}' or ']':
                throw Fail($"{c} must be escaped", start);
            default:
                _at = start;
                int value = TakeCharacter();
                return new SetPattern(CodePointSet.Of((value, value)));
        }
    }

    private Pattern ParseGroup()
    {
        int start = _at - 1;
        if (TryTake('?'))
        {
            if (TryTake('<') && _at < _source.Length && (char.IsAsciiLetter(_source[_at]) || _source[_at] == '_'))
            {
                while (_at < _source.Length && (char.IsAsciiLetterOrDigit(_source[_at]) || _source[_at] == '_'))
                    _at++;
                if (!TryTake('>'))
                    throw Fail("expected > after a group's name");
            }
            else if (!TryTake(':'))
            {
                throw _budget.Unsupported($"look-around and inline flags are not supported (character {start})");
            }
        }

        Pattern inner = ParseChoice();
        return TryTake(')') ? inner : throw Fail("unclosed (", start);
    }

    private CodePointSet ParseClass()
    {
        int start = _at - 1;
        bool negated = TryTake('^');
        var ranges = new List<(int, int)>();
        while (true)
        {
            if (_at >= _source.Length)
                throw Fail("unclosed [", start);
            if (TryTake(']'))
                break;
            _budget.ChargeNodes();
            int from = _at;
            CodePointSet first = ParseClassAtom();
            if (_at + 1 < _source.Length && _source[_at] == '-' && _source[_at + 1] != ']')
            {
                _at++;
                CodePointSet last = ParseClassAtom();
                if (Single(first) is not { } low || Single(last) is not { } high || high < low)
                    throw Fail("range out of order", from);
                ranges.Add((low, high));
            }
            else
            {
                ranges.AddRange(first.Ranges);
            }
        }

        CodePointSet set = CodePointSet.Of(ranges);
        return negated ? set.Complement() : set;
    }

    private CodePointSet ParseClassAtom()
    {
        if (_at >= _source.Length)
            throw Fail("unclosed [");
        if (TryTake('\\'))
            return ParseEscape(inClass: true);
        int value = TakeCharacter();
        return CodePointSet.Of((value, value));
    }

    private CodePointSet ParseEscape(bool inClass)
    {
        int start = _at - 1;
        if (_at >= _source.Length)
            throw Fail("\\ at the end", start);
        char c = _source[_at++];
        switch (c)
        {
            case 'd':
                return CharacterClasses.Digit;
            case 'D':
                return CharacterClasses.Digit.Complement();
            case 'w':
                return CharacterClasses.Word;
            case 'W':
                return CharacterClasses.Word.Complement();
            case 's':
                return CharacterClasses.Space;
            case 'S':
                return CharacterClasses.Space.Complement();
            case 'n':
                return One('\n');
            case 'r':
                return One('\r');
            case 't':
                return One('\t');
            case 'f':
                return One('\f');
            case 'v':
                return One('\v');
            case '0' when _at >= _source.Length || !char.IsAsciiDigit(_source[_at]):
                return One('\0');
            case 'b' when inClass:
                return One('\b');
            case 'x':
                return One(TakeHex(2, start));
            case 'u':
                return One(TakeUnicode(start));
            case 'p' or 'P':
                CodePointSet category = TakeCategory(start);
                return c == 'p' ? category : category.Complement();
            case 'b' or 'B':
                throw _budget.Unsupported($"word boundaries are not supported (character {start})");
            case 'k' or (>= '1' and <= '9'):
                throw _budget.Unsupported($"back-references are not supported (character {start})");
            default:
                return c < 0x80 && !char.IsAsciiLetterOrDigit(c) && !char.IsControl(c) ? One(c) : throw Fail($"unknown escape \\{c}", start);
        }

        static CodePointSet One(int value) => CodePointSet.Of((value, value));
    }

    private int TakeUnicode(int start)
    {
        if (TryTake('{'))
        {
            int end = _source.IndexOf('}', _at);
            if (end < 0 || end - _at is 0 or > 6)
                throw Fail("expected 1 to 6 digits in \\u{}", start);
            int value = TakeHex(end - _at, start);
            _at++;
            return value <= 0x10FFFF && value is not (>= 0xD800 and <= 0xDFFF) ? value : throw Fail("no such character", start);
        }

        int unit = TakeHex(4, start);
        if (unit is < 0xD800 or > 0xDFFF)
            return unit;
        if (unit < 0xDC00 && _at + 6 <= _source.Length && _source[_at] == '\\' && _source[_at + 1] == 'u')
        {
            _at += 2;
            int low = TakeHex(4, start);
            if (low is >= 0xDC00 and <= 0xDFFF)
                return char.ConvertToUtf32((char)unit, (char)low);
        }

        throw Fail("a surrogate without a partner", start);
    }

    private CodePointSet TakeCategory(int start)
    {
        int end = TryTake('{') ? _source.IndexOf('}', _at) : -1;
        if (end < 0)
            throw Fail("expected a category in braces", start);
        string name = _source[_at..end];
        _at = end + 1;
        return CharacterClasses.Category(name)
            ?? throw _budget.Unsupported(
                $"expected a general category of Unicode such as L or Nd, found {name[..Math.Min(name.Length, 20)]} (character {start})");
    }

    private int TakeHex(int digits, int start)
    {
        if (_at + digits > _source.Length
            || !int.TryParse(_source.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int value))
            throw Fail($"expected {digits} hexadecimal digits", start);
        _at += digits;
        return value;
    }

    private int TakeCharacter()
    {
        char c = _source[_at++];
        if (!char.IsSurrogate(c))
            return c;
        if (char.IsHighSurrogate(c) && _at < _source.Length && char.IsLowSurrogate(_source[_at]))
            return char.ConvertToUtf32(c, _source[_at++]);
        throw Fail("a surrogate without a partner", _at - 1);
    }

    private static int? Single(CodePointSet set) => set.Ranges is [(var first, var last)] && first == last ? first : null;

    private bool TryTake(char c)
    {
        if (_at >= _source.Length || _source[_at] != c)
            return false;
        _at++;
        return true;
    }

    private Core.RequestException Fail(string problem, int? at = null) =>
        _budget.Invalid($"not a regular expression: {problem} (character {at ?? _at})");
}
