using System.Runtime.CompilerServices;
using Sluice.Core;

namespace Sluice.Text.Jinja;

/// <summary>
/// Turns tokens into the syntax tree by recursive descent, with Jinja2's grammar. Every recursion counts its depth: .NET cannot
/// catch a stack overflow, and a template may come from anyone.
/// </summary>
internal sealed partial class Parser
{
    private readonly List<Token> _tokens;
    private readonly JinjaLimits _limits;
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private int _index;
    private int _depth;

    private Parser(List<Token> tokens, JinjaLimits limits)
    {
        _tokens = tokens;
        _limits = limits;
    }

    private Token Current => _tokens[_index];

    private Token Following => _tokens[Math.Min(_index + 1, _tokens.Count - 1)];

    /// <summary>The whole template, and every name it reads as a variable.</summary>
    /// <exception cref="TemplateException">The source is not a template, or nests too deep.</exception>
    public static (ScopeBody Template, IReadOnlySet<string> Names) Parse(string source, JinjaLimits limits)
    {
        Parser parser = new(Lexer.Tokenize(source), limits);
        ScopeBody template = new(parser.Statements([]));
        ScopeAnalysis.Apply(template);
        return (template, parser._names);
    }

    private Token Next()
    {
        Token token = Current;
        if (token.Kind != TokenKind.End)
        {
            _index++;
        }

        return token;
    }

    private bool Skip(TokenKind kind)
    {
        if (Current.Kind != kind)
        {
            return false;
        }

        _index++;
        return true;
    }

    private bool SkipName(string name)
    {
        if (!Current.IsName(name))
        {
            return false;
        }

        _index++;
        return true;
    }

    private Token Expect(TokenKind kind, string what)
    {
        if (Current.Kind != kind)
        {
            throw Fail($"expected {what}, got {Current.Describe()}", Current.At);
        }

        return Next();
    }

    private void ExpectName(string name)
    {
        if (!SkipName(name))
        {
            throw Fail($"expected '{name}', got {Current.Describe()}", Current.At);
        }
    }

    private void Enter(Position at)
    {
        if (++_depth > _limits.NestingDepth || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw TooDeep(at);
        }
    }

    private void Leave() => _depth--;

    /// <summary>Checks the height of a tree that grows in a loop, to the left: a chain of operators, filters or subscripts.</summary>
    private T Grown<T>(T expression)
        where T : Expression => expression.Height <= _limits.NestingDepth ? expression : throw TooDeep(expression.At);

    private TemplateException TooDeep(Position at) =>
        Fail($"limit NestingDepth: the template nests deeper than {_limits.NestingDepth}", at);

    private static TemplateException Fail(string message, Position at) => new(message, at.Line, at.Column);
}
