using Sluice.Constraints.Automata;
using Sluice.Constraints.Grammars;
using Sluice.Constraints.Vocabularies;

namespace Sluice.Constraints.Json;

/// <summary>
/// The terminals of JSON that every schema uses, made once for a vocabulary: what its tokens do inside a string is found out once, not for
/// every schema. Numbers have at most 19 digits before the point, 17 after it and 2 in the exponent, so that none goes on forever.
/// </summary>
internal sealed class JsonTerminals
{
    private static readonly Pattern Hex = Pattern.Characters("0123456789abcdefABCDEF");
    private static readonly Pattern Digit = Pattern.Characters("0123456789");

    public JsonTerminals(TokenVocabulary vocabulary, CompileBudget budget)
    {
        Dfa text = StringPattern().Compile(budget, "a string");
        String = Terminal.Countable(text, (byte)'"', vocabulary, budget);
        Whitespace = Terminal.Of(WhitespacePattern().Compile(budget, "white space"), vocabulary, budget)!;
        IntegerSyntax = IntegerPattern().Compile(budget, "a number");
        DecimalSyntax = DecimalPattern().Compile(budget, "a number");
        Integer = Terminal.Of(IntegerSyntax, vocabulary, budget);
        Number = Terminal.Of(Pattern.Sequence(DecimalPattern(), ExponentPattern()).Compile(budget, "a number"), vocabulary, budget);
        Terminal?[] all = [String, Whitespace, Integer, Number];
        Shared = all.OfType<Terminal>().SelectMany(terminal => terminal.Tokens).ToHashSet();
    }

    /// <summary>Any string, quotes included.</summary>
    public Terminal? String { get; }

    /// <summary>
    /// What may stand between two symbols: nothing, a space, or a new line and an indentation of at most 40. Models that are let write
    /// more sometimes never stop.
    /// </summary>
    public Terminal Whitespace { get; }

    public Terminal? Integer { get; }

    public Terminal? Number { get; }

    /// <summary>Numbers without a fraction.</summary>
    public Dfa IntegerSyntax { get; }

    /// <summary>Numbers without an exponent.</summary>
    public Dfa DecimalSyntax { get; }

    /// <summary>What the vocabulary does in these is kept for every constraint.</summary>
    public IReadOnlySet<TerminalTokens> Shared { get; }

    private static Pattern StringPattern()
    {
        Pattern plain = new SetPattern(CodePointSet.Of((0, 0x1F), ('"', '"'), ('\\', '\\')).Complement());
        Pattern basic = Pattern.Sequence(
            Pattern.Text("\\u"),
            Pattern.Choice(
                Pattern.Sequence(Pattern.Characters("0123456789abcefABCEF"), Hex.Repeat(3, 3)),
                Pattern.Sequence(Pattern.Characters("dD"), Pattern.Characters("01234567"), Hex.Repeat(2, 2))));
        Pattern pair = Pattern.Sequence(
            Pattern.Text("\\u"), Pattern.Characters("dD"), Pattern.Characters("89abAB"), Hex.Repeat(2, 2),
            Pattern.Text("\\u"), Pattern.Characters("dD"), Pattern.Characters("cdefCDEF"), Hex.Repeat(2, 2));
        Pattern simple = Pattern.Sequence(Pattern.Text("\\"), Pattern.Characters("\"\\/bfnrt"));
        return Pattern.Sequence(Pattern.Text("\""), Pattern.Choice(plain, simple, basic, pair).Repeat(0, null), Pattern.Text("\""));
    }

    private static Pattern WhitespacePattern() =>
        Pattern.Choice(Pattern.Text(" "), Pattern.Sequence(Pattern.Text("\n"), Pattern.Characters(" \t").Repeat(0, 40))).Optional();

    private static Pattern IntegerPattern() => Pattern.Choice(
        Pattern.Text("0"),
        Pattern.Sequence(Pattern.Text("-").Optional(), Pattern.Characters("123456789"), Digit.Repeat(0, 18)));

    private static Pattern DecimalPattern() => Pattern.Sequence(
        Pattern.Text("-").Optional(),
        Pattern.Choice(Pattern.Text("0"), Pattern.Sequence(Pattern.Characters("123456789"), Digit.Repeat(0, 18))),
        Pattern.Sequence(Pattern.Text("."), Digit.Repeat(1, 17)).Optional());

    private static Pattern ExponentPattern() =>
        Pattern.Sequence(Pattern.Characters("eE"), Pattern.Characters("+-").Optional(), Digit.Repeat(1, 2)).Optional();
}
