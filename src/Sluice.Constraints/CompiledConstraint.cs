using Sluice.Constraints.Matching;

namespace Sluice.Constraints;

/// <summary>
/// A constraint ready to be followed, bound to a vocabulary. Any number of threads may make matchers of it; what they find out about the
/// constraint as they go is kept for all of them.
/// </summary>
public sealed class CompiledConstraint
{
    internal CompiledConstraint(TokenVocabulary vocabulary, ParserAutomaton automaton)
    {
        Vocabulary = vocabulary;
        Automaton = automaton;
    }

    /// <summary>The tokens it is compiled for.</summary>
    public TokenVocabulary Vocabulary { get; }

    /// <summary>Memory that its caches use at present, roughly.</summary>
    public long CacheBytes => Automaton.CacheBytes;

    internal ParserAutomaton Automaton { get; }

    /// <summary>Begins a text.</summary>
    public ConstraintMatcher CreateMatcher() => new(this);
}
