using Sluice.Constraints.Automata;
using Sluice.Core;

namespace Sluice.Constraints.Grammars;

/// <summary>Text of a pattern: a leaf that is still to become a terminal.</summary>
internal sealed record PatternNode(Pattern Pattern) : GrammarNode;

/// <summary>
/// Makes terminals of patterns, each as large as it can be: pieces of a grammar that do not recurse become one automaton, in which tokens are
/// looked up and not followed. Where that would take too many states the pieces stay apart.
/// </summary>
internal sealed class PatternFusion(TokenVocabulary vocabulary, CompileBudget budget)
{
    private const int LargestPattern = 2_000;
    private const int LargestAutomaton = 2_000;

    private readonly Dictionary<Rule, (Pattern? Pattern, int Size)> _rules = [];
    private readonly HashSet<Rule> _inside = [];
    private readonly CompileBudget _small = budget.WithStates(LargestAutomaton);

    /// <summary>Replaces every pattern in the rules that <paramref name="root"/> uses.</summary>
    public void Fuse(Rule root)
    {
        foreach (Rule rule in new GrammarAnalysis(root, budget).Rules)
            Find(rule, 0);
        var fused = new GrammarAnalysis(root, budget).Rules.Select(rule => (rule, Fuse(rule.Body, 0))).ToList();
        foreach ((Rule rule, GrammarNode body) in fused)
            rule.Body = body;
    }

    private GrammarNode Fuse(GrammarNode node, int depth)
    {
        if (depth > 4 * budget.Limits.Depth)
            throw budget.TooDeep();
        (Pattern? pattern, int size) = Find(node, depth);
        if (pattern is not null && (node is PatternNode || size <= LargestPattern) && TryCompile(pattern, node is PatternNode) is { } dfa)
            return GrammarNode.Of(Terminal.Of(dfa, vocabulary, budget));
        return node switch
        {
            SequenceNode sequence => new SequenceNode([.. sequence.Parts.Select(part => Fuse(part, depth + 1))]),
            ChoiceNode choice => new ChoiceNode([.. choice.Parts.Select(part => Fuse(part, depth + 1))]),
            RepeatNode repeat => repeat with { Part = Fuse(repeat.Part, depth + 1) },
            _ => node,
        };
    }

    private Dfa? TryCompile(Pattern pattern, bool isLeaf)
    {
        try
        {
            return pattern.Compile(isLeaf ? budget : _small, "an expression");
        }
        catch (RequestException) when (!isLeaf)
        {
            return null;
        }
    }

    /// <summary>The node as one pattern, if it is regular, and how large that would be.</summary>
    private (Pattern? Pattern, int Size) Find(GrammarNode node, int depth)
    {
        if (depth > 4 * budget.Limits.Depth)
            throw budget.TooDeep();
        budget.Charge();
        switch (node)
        {
            case PatternNode leaf:
                return (leaf.Pattern, leaf.Pattern is BytesPattern bytes ? bytes.Bytes.Length : 1);
            case RuleNode rule:
                return Find(rule.Rule, depth + 1);
            case SequenceNode sequence:
                return FindAll(sequence.Parts, Pattern.Sequence, depth);
            case ChoiceNode choice:
                return FindAll(choice.Parts, Pattern.Choice, depth);
            case RepeatNode repeat:
                (Pattern? part, int size) = Find(repeat.Part, depth + 1);
                long total = (size + 1L) * Math.Max(1, repeat.Max ?? repeat.Min + 1L);
                return part is null || total > LargestPattern ? (null, 0) : (part.Repeat(repeat.Min, repeat.Max), (int)total);
            default:
                return (null, 0);
        }
    }

    private (Pattern? Pattern, int Size) Find(Rule rule, int depth)
    {
        if (_rules.TryGetValue(rule, out var known))
            return known;
        if (!_inside.Add(rule))
            return (null, 0); // it recurses
        var found = Find(rule.Body, depth);
        _inside.Remove(rule);
        _rules[rule] = found;
        return found;
    }

    private (Pattern? Pattern, int Size) FindAll(IReadOnlyList<GrammarNode> parts, Func<Pattern[], Pattern> combine, int depth)
    {
        var patterns = new Pattern[parts.Count];
        int total = 1;
        bool regular = true;
        for (int i = 0; i < patterns.Length; i++)
        {
            (Pattern? pattern, int size) = Find(parts[i], depth + 1);
            regular &= pattern is not null && (total += size) <= LargestPattern;
            patterns[i] = pattern!;
        }

        return regular ? (combine(patterns), total) : (null, 0);
    }
}
