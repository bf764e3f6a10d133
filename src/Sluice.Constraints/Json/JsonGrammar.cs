using Sluice.Constraints.Automata;
using Sluice.Constraints.Grammars;

namespace Sluice.Constraints.Json;

/// <summary>Makes the pieces that grammars for JSON are put together from, each terminal once.</summary>
internal sealed class JsonGrammar(TokenVocabulary vocabulary, JsonTerminals terminals, CompileBudget budget)
{
    private readonly Dictionary<string, Terminal?> _terminals = new(StringComparer.Ordinal);
    private readonly Dictionary<(int, int), GrammarNode> _strings = [];

    public JsonTerminals Terminals { get; } = terminals;

    public CompileBudget Budget { get; } = budget;

    public TokenVocabulary Vocabulary { get; } = vocabulary;

    public GrammarNode Whitespace => new TerminalNode(Terminals.Whitespace);

    /// <summary>A comma, and the space after it.</summary>
    public GrammarNode Comma => GrammarNode.Sequence(Literal(","), Whitespace);

    /// <summary>This text, which holds no added tokens.</summary>
    public GrammarNode Literal(string text) => Terminal(text, () => Pattern.Text(text).Compile(Budget, "a literal"));

    /// <summary>Any string of so many characters.</summary>
    public GrammarNode String(int min, int max)
    {
        if (Terminals.String is null || max < min)
            return GrammarNode.Nothing;
        if (min == 0 && max == int.MaxValue)
            return new TerminalNode(Terminals.String);
        if (!_strings.TryGetValue((min, max), out GrammarNode? node))
            _strings.Add((min, max), node = new TerminalNode(Terminals.String.Counting(min, max)));
        return node;
    }

    /// <summary>A terminal for an automaton that is the same for the same key.</summary>
    public GrammarNode Terminal(string key, Func<Dfa> build)
    {
        if (!_terminals.TryGetValue(key, out Terminal? terminal))
            _terminals.Add(key, terminal = Grammars.Terminal.Of(build(), Vocabulary, Budget));
        return GrammarNode.Of(terminal);
    }
}
