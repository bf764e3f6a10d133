namespace Sluice.Constraints.Automata;

/// <summary>
/// A deterministic automaton over bytes whose states are found by following it: a set of nondeterministic states, a pair of states of
/// two automata, a remainder. <see cref="Dfa.Explore"/> makes a table of it.
/// </summary>
internal interface IByteAutomaton<TState>
    where TState : IEquatable<TState>
{
    /// <summary>Bytes between which no state distinguishes.</summary>
    ByteClasses Classes { get; }

    TState Start { get; }

    bool IsAccepting(TState state);

    /// <summary>Follows a byte; false when no text continues so.</summary>
    bool TryStep(TState state, byte value, out TState next);
}
