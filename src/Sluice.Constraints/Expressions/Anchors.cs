using Sluice.Constraints.Automata;

namespace Sluice.Constraints.Expressions;

/// <summary>The start or the end of the text, as a parser finds it; <see cref="Anchors"/> resolves it.</summary>
internal sealed record AnchorPattern : Pattern
{
    private AnchorPattern()
    {
    }

    public static AnchorPattern Start { get; } = new();

    public static AnchorPattern End { get; } = new();

    // The two are told apart by reference.
    public bool Equals(AnchorPattern? other) => ReferenceEquals(this, other);

    public override int GetHashCode() => ReferenceEquals(this, Start) ? 1 : 2;
}

/// <summary>Replaces anchors: they may stand at the edges of a text's alternatives, where they say whether any text may come before or after.</summary>
internal static class Anchors
{
    /// <summary>The pattern for the whole text.</summary>
    public static Pattern Whole(Pattern pattern, CompileBudget budget) => new Resolver(Pattern.Empty, budget).Resolve(pattern, true, true);

    /// <summary>The pattern anywhere in the text, as far as its anchors let it.</summary>
    public static Pattern Search(Pattern pattern, CompileBudget budget) => new Resolver(Pattern.AnyText, budget).Resolve(pattern, true, true);

    private sealed class Resolver(Pattern around, CompileBudget budget)
    {
        /// <param name="pattern">Some of the expression.</param>
        /// <param name="first">Whether the text may begin here, so that what comes before is to be added.</param>
        /// <param name="last">The same for its end.</param>
        public Pattern Resolve(Pattern pattern, bool first, bool last)
        {
            budget.Charge();
            switch (pattern)
            {
                case AnchorPattern anchor:
                    if (ReferenceEquals(anchor, AnchorPattern.Start) ? !first : !last)
                        throw budget.Unsupported("anchors are supported only where the text begins and where it ends");
                    return ReferenceEquals(anchor, AnchorPattern.Start) ? last ? around : Pattern.Empty : first ? around : Pattern.Empty;
                case ChoicePattern choice:
                    return Pattern.Choice([.. choice.Parts.Select(part => Resolve(part, first, last))]);
                case SequencePattern sequence:
                    return ResolveSequence(sequence.Parts, first, last);
                case RepeatPattern repeat:
                    Resolve(repeat.Part, false, false);
                    break;
            }

            return Pattern.Sequence(first ? around : Pattern.Empty, pattern, last ? around : Pattern.Empty);
        }

        private Pattern ResolveSequence(IReadOnlyList<Pattern> parts, bool first, bool last)
        {
            int start = 0, end = parts.Count;
            bool before = first, after = last;
            for (; first && start < end && ReferenceEquals(parts[start], AnchorPattern.Start); start++)
                before = false;
            for (; last && end > start && ReferenceEquals(parts[end - 1], AnchorPattern.End); end--)
                after = false;
            if (start == end)
                return before || after ? around : Pattern.Empty;

            // Where an anchor has spoken for an edge, no other may stand there, and nothing is added.
            var resolved = new List<Pattern>();
            for (int i = start; i < end; i++)
                resolved.Add(Resolve(parts[i], before && i == start, after && i == end - 1));
            return Pattern.Sequence([.. resolved]);
        }
    }
}
