using Sluice.Constraints.Matching;

namespace Sluice.Constraints;

/// <summary>
/// Follows one text under a constraint, token by token. After every accepted token at least one token may come next. Used by one thread at
/// a time; forks are independent.
/// </summary>
public sealed class ConstraintMatcher
{
    private readonly CompiledConstraint _constraint;
    private ParserState _state;

    internal ConstraintMatcher(CompiledConstraint constraint)
    {
        _constraint = constraint;
        _state = constraint.Automaton.Start;
    }

    private ConstraintMatcher(ConstraintMatcher other)
    {
        _constraint = other._constraint;
        _state = other._state;
        IsEnded = other.IsEnded;
    }

    /// <summary>Whether the text could end here.</summary>
    public bool IsComplete => _state.CanEnd;

    /// <summary>Whether the text can only end here: there is nothing more to say.</summary>
    public bool MustEnd => _state.CanEnd && _state.Readings.IsEmpty;

    /// <summary>Whether a token that ends the text has been accepted.</summary>
    public bool IsEnded { get; private set; }

    /// <summary>
    /// Writes which tokens may come next, a bit for each id, word by word from the lowest. Tokens that end the text are among them exactly
    /// when it could end here.
    /// </summary>
    /// <param name="allowed">At least <see cref="TokenVocabulary.MaskWords"/> words; more, for ids that no token has, are cleared.</param>
    /// <exception cref="Core.RequestException">The constraint is too ambiguous to follow.</exception>
    public void FillMask(Span<ulong> allowed)
    {
        int words = _constraint.Vocabulary.MaskWords;
        if (allowed.Length < words)
            throw new ArgumentException($"expected at least {words} words, found {allowed.Length}", nameof(allowed));
        if (IsEnded)
        {
            allowed.Clear();
            foreach (int end in _constraint.Vocabulary.EndTokens)
                allowed[end >> 6] |= 1UL << (end & 63);
            return;
        }

        allowed[words..].Clear();
        _state = _constraint.Automaton.Fill(_state, allowed[..words]);
    }

    /// <summary>Makes a token part of the text. False, and nothing changes, if it may not come next.</summary>
    /// <exception cref="Core.RequestException">The constraint is too ambiguous to follow.</exception>
    public bool Accept(int token)
    {
        if ((uint)token >= (uint)_constraint.Vocabulary.Size)
            return false;
        if (_constraint.Vocabulary.IsEnd(token))
        {
            IsEnded |= _state.CanEnd;
            return _state.CanEnd;
        }

        if (IsEnded)
            return false;
        ParserState next = _constraint.Automaton.Accept(_state, token);
        if (ReferenceEquals(next, ParserState.Dead))
            return false;
        _state = next;
        return true;
    }

    /// <summary>Another matcher at the same place.</summary>
    public ConstraintMatcher Fork() => new(this);
}
