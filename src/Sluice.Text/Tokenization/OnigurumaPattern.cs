using System.Collections.Frozen;
using System.Globalization;
using System.Text;
using Sluice.Core;

namespace Sluice.Text.Tokenization;

/// <summary>
/// Rewrites a split pattern from the dialect Hugging Face runs it in (Oniguruma) into .NET's, and refuses what the two read
/// differently or what .NET lacks: a pattern that compiles and means something else would be worse than none.
/// </summary>
/// <remarks>
/// Understood: literals, character classes without set operations, <c>\r \n \t \f \v \s \S \d \D \uXXXX \xXX</c> and escaped
/// punctuation, <c>\p{..}</c> of general categories, <c>.</c>, alternation, groups (plain, <c>?:</c>, <c>?i:</c>, <c>?&gt;</c>,
/// look-around), the quantifiers <c>? * + {n,m}</c> with their lazy and possessive forms.
/// </remarks>
internal ref struct OnigurumaPattern
{
    private const int MaxLength = 4096;
    private const int MaxDepth = 32;
    private const int MaxRepeat = 1000;

    private static readonly FrozenSet<string> Categories = FrozenSet.Create(
        StringComparer.Ordinal,
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
        "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Co", "Cn");

    private readonly string _pattern;
    private readonly StringBuilder _output = new();
    private int _at;
    private bool _ignoreCase;
    private char _previousFolded;

    private OnigurumaPattern(string pattern) => _pattern = pattern;

    /// <summary>The same pattern for .NET (with <c>CultureInvariant</c>), over text in which <see cref="AstralShadow"/> stands in for astral characters.</summary>
    /// <exception cref="TokenizerException">The pattern uses what is not understood; the message names it.</exception>
    public static string Translate(string pattern)
    {
        if (pattern.Length is 0 or > MaxLength)
            throw TokenizerErrors.InPattern(pattern, $"expected 1 to {MaxLength} characters, found {pattern.Length}");

        var translation = new OnigurumaPattern(pattern);
        translation.Alternatives(depth: 0);
        if (translation._at < pattern.Length)
            throw translation.Refuse("an unmatched )");
        return translation._output.ToString();
    }

    private readonly char Current => _at < _pattern.Length ? _pattern[_at] : '\0';

    private readonly bool Ended => _at >= _pattern.Length;

    private readonly bool IsAt(string text) => string.CompareOrdinal(_pattern, _at, text, 0, text.Length) == 0;

    private readonly TokenizerException Refuse(string what) => RefuseAt(_at, what);

    private readonly TokenizerException RefuseAt(int at, string what) =>
        TokenizerErrors.InPattern(_pattern, $"at character {at}, {what} is not supported");

    private void Alternatives(int depth)
    {
        if (depth > MaxDepth)
            throw Refuse($"nesting deeper than {MaxDepth}");

        while (!Ended && Current != ')')
        {
            if (Current == '|')
            {
                _output.Append(_pattern[_at++]);
                _previousFolded = '\0';
                continue;
            }

            int atom = _output.Length;
            bool quantifiable = Atom(depth);
            Quantifier(atom, quantifiable);
        }
    }

    // Returns whether a quantifier may follow.
    private bool Atom(int depth)
    {
        char c = _pattern[_at];
        switch (c)
        {
            case '(':
                return Group(depth);
            case '[':
                _previousFolded = '\0';
                Class();
                return true;
            case '\\':
                _previousFolded = '\0';
                Escape(inClass: false);
                return true;
            case '.':
                _previousFolded = '\0';
                _output.Append('.');
                _at++;
                return true;
            case '^' or '$':
                throw Refuse($"the anchor {c} (it means a line's edge in one dialect and the text's in the other)");
            case '?' or '*' or '+' or '{':
                throw Refuse($"{c} with nothing to repeat");
            default:
                Literal(c);
                _at++;
                return true;
        }
    }

    private bool Group(int depth)
    {
        (string opening, bool lookAround) = GroupOpening();
        bool outerCase = _ignoreCase;
        _at += opening.Length;
        if (opening == "(?i:")
        {
            // Case is folded here, letter by letter, so .NET's own table (which lacks some of Oniguruma's pairs) is not asked.
            _ignoreCase = true;
            opening = "(?:";
        }

        _output.Append(opening);
        Alternatives(depth + 1);
        if (Current != ')')
            throw Refuse("a group without its )");
        _output.Append(')');
        _at++;
        _ignoreCase = outerCase;
        return !lookAround;
    }

    private readonly (string Opening, bool LookAround) GroupOpening()
    {
        foreach (string opening in (ReadOnlySpan<string>)["(?<=", "(?<!", "(?=", "(?!", "(?i:", "(?:", "(?>"])
        {
            if (IsAt(opening))
                return (opening, LookAround: opening is not ("(?i:" or "(?:" or "(?>"));
        }

        return IsAt("(?") || IsAt("(*")
            ? throw Refuse($"the group {_pattern.AsSpan(_at, Math.Min(4, _pattern.Length - _at))}")
            : ("(", LookAround: false);
    }

    private void Quantifier(int atom, bool quantifiable)
    {
        char c = Current;
        if (Ended || c is not ('?' or '*' or '+' or '{'))
            return;
        if (!quantifiable)
            throw Refuse("a repeated look-around");

        _previousFolded = '\0';
        if (c == '{')
            Interval();
        else
            _output.Append(_pattern[_at++]);

        if (Current == '?' && c != '{')
        {
            _output.Append(_pattern[_at++]);
        }
        else if (Current == '+' && c != '{')
        {
            _output.Insert(atom, "(?>").Append(')');
            _at++;
        }

        if (!Ended && Current is '?' or '*' or '+' or '{')
            throw Refuse($"{Current} after a quantifier");
    }

    // {n}, {n,} or {n,m}. Oniguruma also knows {,m}, which .NET takes for text.
    private void Interval()
    {
        int close = _pattern.IndexOf('}', _at);
        string[] bounds = close < 0 ? [] : _pattern[(_at + 1)..close].Split(',');
        bool valid = bounds.Length is 1 or 2 && IsBound(bounds[0], out int low)
            && (bounds.Length == 1 || bounds[1].Length == 0 || (IsBound(bounds[1], out int high) && low <= high));
        if (!valid)
            throw Refuse($"a {{ that is not {{n}}, {{n,}} or {{n,m}} with numbers up to {MaxRepeat}");

        _output.Append(_pattern, _at, close + 1 - _at);
        _at = close + 1;
    }

    private static bool IsBound(string text, out int value) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value <= MaxRepeat;

    private void Class()
    {
        int start = _at;
        _output.Append('[');
        _at++;
        if (Current == '^')
        {
            if (_ignoreCase)
                throw Refuse("a negated class where case is ignored");
            _output.Append(_pattern[_at++]);
        }

        int first = _at;
        while (Current != ']' || _at == first)
        {
            if (Ended || Current == ']')
                throw RefuseAt(start, "a class that is empty or lacks its ]");
            ClassItem(isFirst: _at == first);
        }

        _output.Append(']');
        _at++;
    }

    private void ClassItem(bool isFirst)
    {
        // A - is itself only where it cannot be anything else: at either end.
        if (Current == '-' && !isFirst && !IsAt("-]"))
            throw Refuse("a bare - inside a class");

        int low = ClassCharacter();
        if (Current != '-' || IsAt("-]"))
            return;

        _output.Append('-');
        _at++;
        int high = ClassCharacter();
        if (low < 0 || high < low)
            throw Refuse("a range whose ends are not characters in order");
        if (_ignoreCase)
            throw Refuse("a range where case is ignored");
        if (AstralShadow.MeetsStandIn((char)low, (char)high))
            throw Refuse($"the range U+{low:X4} to U+{high:X4}");
    }

    // Writes one item of a class; returns the character it is, or -1 when it stands for several.
    private int ClassCharacter()
    {
        if (IsAt("[") || IsAt("&&"))
            throw Refuse("a set inside a class");
        if (Ended || IsAt("]"))
            throw Refuse("a range without its end");
        if (IsAt("\\"))
            return Escape(inClass: true);

        char c = _pattern[_at];
        ClassLiteral(c);
        _at++;
        return c;
    }

    // Writes an escape; returns the character it denotes, or -1 when it denotes a set.
    private int Escape(bool inClass)
    {
        if (_at + 1 >= _pattern.Length)
            throw Refuse("a \\ at the end");

        char c = _pattern[_at + 1];
        switch (c)
        {
            case 's' or 'S' or 'd' or 'D':
                _output.Append('\\').Append(c);
                _at += 2;
                return -1;
            case 'p' or 'P':
                Category();
                return -1;
            case 'r' or 'n' or 't' or 'f' or 'v':
                _output.Append('\\').Append(c);
                _at += 2;
                return c switch { 'r' => '\r', 'n' => '\n', 't' => '\t', 'f' => '\f', _ => '\v' };
            case 'u' or 'x':
                int digits = c == 'u' ? 4 : 2;
                ReadOnlySpan<char> hex = _pattern.AsSpan(_at + 2);
                if (hex.Length < digits
                    || !ushort.TryParse(hex[..digits], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort code)
                    || (c == 'x' && code > 0x7F))
                    throw Refuse($"the escape \\{c}");
                WriteLiteral((char)code, inClass);
                _at += 2 + digits;
                return code;
            case >= ' ' and < '\x7F' when !char.IsAsciiLetterOrDigit(c):
                WriteLiteral(c, inClass);
                _at += 2;
                return c;
            default:
                throw Refuse($"the escape \\{c}");
        }
    }

    private void Category()
    {
        int open = _at + 2;
        int close = open < _pattern.Length && _pattern[open] == '{' ? _pattern.IndexOf('}', open) : -1;
        if (close < 0)
            throw Refuse("a \\p without {..}");

        string name = _pattern[(open + 1)..close];
        bool negated = name.StartsWith('^') != (_pattern[_at + 1] == 'P');
        name = name.TrimStart('^');
        if (!Categories.Contains(name))
            throw Refuse($"\\p{{{name}}}");
        if (_ignoreCase)
            throw Refuse("\\p where case is ignored");

        _output.Append(negated ? @"\P{" : @"\p{").Append(name).Append('}');
        _at = close + 1;
    }

    private void WriteLiteral(char c, bool inClass)
    {
        if (inClass)
            ClassLiteral(c);
        else
            Literal(c);
    }

    private void Literal(char c)
    {
        bool folded = _ignoreCase && char.IsAsciiLetter(c);
        if (folded)
        {
            // Oniguruma also folds whole sequences: (?i:ss) matches ß, (?i:fi) the ligature.
            char lower = char.ToLowerInvariant(c);
            if ((_previousFolded, lower) is ('s', 's') or ('s', 't') or ('f', 'f') or ('f', 'i') or ('f', 'l'))
                throw Refuse($"{_previousFolded}{lower} where case is ignored");
            _previousFolded = lower;
            _output.Append('[');
            ClassLiteral(c);
            _output.Append(']');
            return;
        }

        _previousFolded = '\0';
        ClassLiteral(c);
    }

    private readonly void ClassLiteral(char c)
    {
        if (char.IsSurrogate(c) || AstralShadow.MeetsStandIn(c, c))
            throw Refuse($"the character U+{(int)c:X4}");

        if (_ignoreCase && char.IsAsciiLetter(c))
        {
            char lower = char.ToLowerInvariant(c);
            _output.Append(lower).Append(char.ToUpperInvariant(c));
            if (lower is 's' or 'k')
                _output.Append(lower == 's' ? @"\u017F" : @"\u212A");
            return;
        }

        if (_ignoreCase && !char.IsAscii(c))
            throw Refuse($"the character U+{(int)c:X4} where case is ignored");

        _output.Append(
            char.IsAsciiLetterOrDigit(c) || c is ' ' or '\'' or '"' or '/' or ',' or ':' or ';' or '=' or '<' or '>' or '!' or '%' or '_'
                ? c
                : $@"\u{(int)c:X4}");
    }
}
