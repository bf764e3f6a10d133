using Sluice.Constraints.Automata;
using Sluice.Constraints.Vocabularies;

namespace Sluice.Constraints.Grammars;

/// <summary>
/// A leaf of the grammar: an automaton over bytes, with how the vocabulary's tokens read in it. A counted one also bounds how many
/// characters begin in its <see cref="UnitStart"/> state, so that a string of a million characters is no larger than one of ten.
/// </summary>
internal sealed class Terminal
{
    // Telling states apart takes time; below, there is nothing to gain, and beyond, little is alike.
    private const int FewStates = 40, ManyStates = 5_000;

    private Terminal(Dfa dfa, int unitStart, int min, int max, TerminalTokens[] tokens)
    {
        Dfa = dfa;
        UnitStart = unitStart;
        Min = min;
        Max = max;
        Tokens = tokens;
    }

    /// <summary>A terminal of all the automaton's texts; null when it has none that the vocabulary can spell.</summary>
    public static Terminal? Of(Dfa dfa, TokenVocabulary vocabulary, CompileBudget budget)
    {
        dfa = DfaAlgebra.Restrict(dfa, vocabulary.SingleBytes, budget);
        return dfa.IsEmpty ? null : new Terminal(dfa, Dfa.Dead, 0, int.MaxValue, Tokenise(dfa, Dfa.Dead, vocabulary, budget));
    }

    /// <summary>A terminal that can be bounded by <see cref="Counting"/>: characters begin in the state after <paramref name="opening"/>.</summary>
    public static Terminal? Countable(Dfa dfa, byte opening, TokenVocabulary vocabulary, CompileBudget budget)
    {
        dfa = DfaAlgebra.Restrict(dfa, vocabulary.SingleBytes, budget);
        if (dfa.IsEmpty)
            return null;
        int unitStart = dfa.Step(0, opening);
        return new Terminal(dfa, unitStart, 0, int.MaxValue, Tokenise(dfa, unitStart, vocabulary, budget));
    }

    /// <summary>The same with <paramref name="min"/> to <paramref name="max"/> characters, sharing what is known of the tokens.</summary>
    public Terminal Counting(int min, int max) => new(Dfa, UnitStart, min, max, Tokens);

    public Dfa Dfa { get; }

    public int UnitStart { get; }

    /// <summary>Characters there must be.</summary>
    public int Min { get; }

    /// <summary>Characters there may be.</summary>
    public int Max { get; }

    /// <summary>
    /// How short tokens read, and how long ones do. Most states of a counted repetition are alike to short tokens, which are looked at only
    /// once for all of them.
    /// </summary>
    public TerminalTokens[] Tokens { get; }

    public bool IsBounded => Min > 0 || Max < int.MaxValue;

    /// <summary>Follows a byte.</summary>
    public bool TryStep(int state, int count, byte value, out int nextState, out int nextCount)
    {
        nextState = Dfa.Step(state, value);
        nextCount = count;
        if (state != UnitStart || nextState == Automata.Dfa.Dead || !IsBounded)
            return nextState != Automata.Dfa.Dead;
        if (Dfa.IsAccepting(nextState))
            return count >= Min;
        if (count >= Max)
            return false;

        // Beyond the minimum an unlimited text forgets its length.
        nextCount = Max == int.MaxValue ? Math.Min(count + 1, Min) : count + 1;
        return true;
    }

    private static TerminalTokens[] Tokenise(Dfa dfa, int unitStart, TokenVocabulary vocabulary, CompileBudget budget)
    {
        int[]? alike = null;
        if (dfa.StateCount is > FewStates and < ManyStates)
        {
            budget.Charge(dfa.StateCount * TokenVocabulary.ShortLength);
            alike = dfa.Blocks(TokenVocabulary.ShortLength);
            var first = new int[dfa.StateCount];
            for (int state = dfa.StateCount - 1; state >= 0; state--)
                first[alike[state]] = state;
            for (int state = 0; state < alike.Length; state++)
                alike[state] = first[alike[state]];
        }

        return
        [
            new TerminalTokens(dfa, unitStart, vocabulary.ShortTokens, vocabulary.MaskWords, alike),
            new TerminalTokens(dfa, unitStart, vocabulary.LongTokens, vocabulary.MaskWords, null),
        ];
    }
}
