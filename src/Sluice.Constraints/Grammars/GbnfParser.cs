using System.Globalization;
using System.Text;
using Sluice.Constraints.Automata;
using Sluice.Core;

namespace Sluice.Constraints.Grammars;

/// <summary>
/// Reads grammars in GBNF, llama.cpp's dialect of EBNF: <c>name ::= "text" [a-z]+ ( other | . )? x{2,5} &lt;token&gt;</c>, comments from
/// <c>#</c>, the text's rule called <c>root</c>. A rule may begin with itself (<c>sum ::= sum "+" term | term</c>); recursion to the left
/// through other rules is refused.
/// </summary>
internal sealed class GbnfParser
{
    private const int LargestCount = 1_000_000;

    private readonly string _source;
    private readonly TokenVocabulary _vocabulary;
    private readonly CompileBudget _budget;
    private readonly Dictionary<string, Rule> _rules = new(StringComparer.Ordinal);
    private readonly HashSet<string> _defined = new(StringComparer.Ordinal);
    private int _at;
    private int _depth;

    private GbnfParser(string source, TokenVocabulary vocabulary, CompileBudget budget)
    {
        _source = source;
        _vocabulary = vocabulary;
        _budget = budget;
    }

    /// <summary>Reads a grammar; its leaves are patterns still to be made terminals.</summary>
    public static Rule Parse(string source, TokenVocabulary vocabulary, CompileBudget budget)
    {
        budget.CheckText(source, "a grammar");
        return new GbnfParser(source, vocabulary, budget).ParseRules();
    }

    private Rule ParseRules()
    {
        SkipSpace();
        while (_at < _source.Length)
        {
            string name = TakeName() ?? throw Fail("expected a rule's name");
            SkipSpace();
            if (!TryTake("::="))
                throw Fail("expected ::=");
            if (!_defined.Add(name))
                throw Fail($"the rule {name} is defined twice");
            SkipSpace();
            Rule rule = Named(name);
            rule.Body = WithoutLeftRecursion(rule, ParseChoice());
        }

        foreach (string name in _rules.Keys)
        {
            if (!_defined.Contains(name))
                throw _budget.Invalid($"the rule {name} is used and not defined");
        }

        return _defined.Contains("root") ? _rules["root"] : throw _budget.Invalid("expected a rule called root");
    }

    /// <summary>
    /// <c>A ::= A x | y</c> has the texts of <c>A ::= y x*</c>. Other left recursion is found later, when it is known what may be empty.
    /// </summary>
    private static GrammarNode WithoutLeftRecursion(Rule rule, GrammarNode body)
    {
        var starts = new List<GrammarNode>();
        var tails = new List<GrammarNode>();
        foreach (GrammarNode branch in body is ChoiceNode choice ? choice.Parts : [body])
        {
            if (branch is RuleNode { Rule: var self } && self == rule)
                continue; // A ::= A adds nothing
            if (branch is SequenceNode { Parts: [RuleNode { Rule: var first }, ..] parts } && first == rule)
                tails.Add(GrammarNode.Sequence([.. parts.Skip(1)]));
            else
                starts.Add(branch);
        }

        GrammarNode start = GrammarNode.Choice([.. starts]);
        return tails.Count == 0 ? start : GrammarNode.Sequence(start, GrammarNode.Choice([.. tails]).Repeat(0, null));
    }

    private GrammarNode ParseChoice()
    {
        if (++_depth > _budget.Limits.Depth)
            throw _budget.TooDeep();
        var branches = new List<GrammarNode>();
        do
        {
            SkipSpace();
            branches.Add(ParseSequence());
        }
        while (TryTake("|"));
        _depth--;
        return GrammarNode.Choice([.. branches]);
    }

    private GrammarNode ParseSequence()
    {
        var parts = new List<GrammarNode>();
        while (_at < _source.Length && _source[_at] is not ('|' or ')') && !IsDefinition())
        {
            _budget.ChargeNodes();
            parts.Add(ParseRepeated());
            SkipSpace();
        }

        return GrammarNode.Sequence([.. parts]);
    }

    private GrammarNode ParseRepeated()
    {
        GrammarNode node = ParseItem();
        for (int turns = 0; ; turns++)
        {
            SkipSpace();
            int start = _at;
            (int Min, int? Max)? count =
                TryTake("*") ? (0, null) : TryTake("+") ? (1, null) : TryTake("?") ? (0, 1) : TryTake("{") ? ParseCount(start) : null;
            if (count is null)
                return node;
            if (turns > 0)
                throw Fail("nothing to repeat", start);
            node = node.Repeat(count.Value.Min, count.Value.Max);
        }
    }

    private (int Min, int? Max) ParseCount(int start)
    {
        SkipSpace();
        int min = TakeNumber() ?? (_at < _source.Length && _source[_at] == ',' ? 0 : throw Fail("expected a number", _at));
        int? max = min;
        SkipSpace();
        if (TryTake(","))
        {
            SkipSpace();
            max = TakeNumber();
            SkipSpace();
        }

        if (!TryTake("}"))
            throw Fail("expected }");
        return max < min ? throw Fail("numbers out of order", start) : (min, max);
    }

    private GrammarNode ParseItem()
    {
        int start = _at;
        switch (_source[_at])
        {
            case '"':
                _at++;
                return ParseLiteral(start);
            case '[':
                _at++;
                return new PatternNode(new SetPattern(ParseClass(start)));
            case '.':
                _at++;
                return new PatternNode(new SetPattern(CodePointSet.All));
            case '<':
                _at++;
                return ParseToken(start);
            case '(':
                _at++;
                GrammarNode inner = ParseChoice();
                return TryTake(")") ? inner : throw Fail("unclosed (", start);
            default:
                return TakeName() is { } name ? new RuleNode(Named(name)) : throw Fail("expected a rule's name, a literal, a set or a group");
        }
    }

    private PatternNode ParseLiteral(int start)
    {
        var text = new StringBuilder();
        while (true)
        {
            if (_at >= _source.Length)
                throw Fail("unclosed \"", start);
            if (TryTake("\""))
                return new PatternNode(Pattern.Text(text.ToString()));
            text.Append(char.ConvertFromUtf32(TakeCharacter()));
        }
    }

    private CodePointSet ParseClass(int start)
    {
        bool negated = TryTake("^");
        var ranges = new List<(int, int)>();
        while (!TryTake("]"))
        {
            if (_at >= _source.Length)
                throw Fail("unclosed [", start);
            _budget.ChargeNodes();
            int from = _at, low = TakeCharacter(), high = low;
            if (_at + 1 < _source.Length && _source[_at] == '-' && _source[_at + 1] != ']')
            {
                _at++;
                high = TakeCharacter();
            }

            if (high < low)
                throw Fail("range out of order", from);
            ranges.Add((low, high));
        }

        CodePointSet set = CodePointSet.Of(ranges);
        return negated ? set.Complement() : set;
    }

    private TokenNode ParseToken(int start)
    {
        int end = _source.IndexOf('>', _at);
        if (end < 0)
            throw Fail("unclosed <", start);
        string text = _source[start..(end + 1)];
        _at = end + 1;
        if (text is ['<', '[', .. var digits, ']', '>'])
        {
            return int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out int id)
                && _vocabulary.Added.Values.Contains(id) && !_vocabulary.IsEnd(id)
                ? new TokenNode(id)
                : throw Fail($"expected the id of an added token that does not end the text, found {text[..Math.Min(text.Length, 40)]}", start);
        }

        return _vocabulary.Added.TryGetValue(text, out int token) && !_vocabulary.IsEnd(token)
            ? new TokenNode(token)
            : throw Fail($"expected an added token that does not end the text, found {text[..Math.Min(text.Length, 40)]}", start);
    }

    private int TakeCharacter()
    {
        int start = _at;
        if (_at >= _source.Length)
            throw Fail("the grammar ends in a literal");
        char c = _source[_at++];
        if (char.IsHighSurrogate(c) && _at < _source.Length && char.IsLowSurrogate(_source[_at]))
            return char.ConvertToUtf32(c, _source[_at++]);
        if (char.IsSurrogate(c))
            throw Fail("a surrogate without a partner", start);
        if (c != '\\')
            return c;
        if (_at >= _source.Length)
            throw Fail("\\ at the end", start);
        c = _source[_at++];
        return c switch
        {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '\\' or '"' or '[' or ']' or '-' or '^' => c,
            'x' => TakeHex(2, start),
            'u' => TakeHex(4, start),
            'U' => TakeHex(8, start),
            _ => throw Fail($"unknown escape \\{c}", start),
        };
    }

    private int TakeHex(int digits, int start)
    {
        if (_at + digits > _source.Length
            || !uint.TryParse(_source.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint value)
            || !Rune.IsValid(value))
            throw Fail($"expected {digits} hexadecimal digits of a character", start);
        _at += digits;
        return (int)value;
    }

    private int? TakeNumber()
    {
        int start = _at;
        while (_at < _source.Length && char.IsAsciiDigit(_source[_at]))
            _at++;
        if (_at == start)
            return null;
        return int.TryParse(_source.AsSpan(start, _at - start), NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value <= LargestCount
            ? value
            : throw _budget.TooComplex($"expected repetitions of at most {LargestCount}, found {_source[start..Math.Min(_at, start + 20)]}");
    }

    /// <summary>Whether what comes next is the start of another rule.</summary>
    private bool IsDefinition()
    {
        int start = _at;
        bool found = TakeName() is not null;
        SkipSpace();
        found &= _source.AsSpan(_at).StartsWith("::=", StringComparison.Ordinal);
        _at = start;
        return found;
    }

    private string? TakeName()
    {
        int start = _at;
        while (_at < _source.Length && (char.IsAsciiLetterOrDigit(_source[_at]) || _source[_at] is '-' or '_'))
            _at++;
        return _at == start ? null : _source[start.._at];
    }

    private Rule Named(string name)
    {
        if (!_rules.TryGetValue(name, out Rule? rule))
            _rules.Add(name, rule = new Rule(name.Length <= 60 ? name : name[..60]));
        return rule;
    }

    private void SkipSpace()
    {
        while (_at < _source.Length && (char.IsWhiteSpace(_source[_at]) || _source[_at] == '#'))
        {
            if (_source[_at] == '#')
                _at = _source.IndexOf('\n', _at) is >= 0 and int end ? end : _source.Length - 1;
            _at++;
        }
    }

    private bool TryTake(string text)
    {
        if (!_source.AsSpan(_at).StartsWith(text, StringComparison.Ordinal))
            return false;
        _at += text.Length;
        return true;
    }

    private RequestException Fail(string problem, int? at = null)
    {
        int line = 1 + _source.AsSpan(0, Math.Min(at ?? _at, _source.Length)).Count('\n');
        return _budget.Invalid($"not a grammar: {problem} (line {line})");
    }
}
