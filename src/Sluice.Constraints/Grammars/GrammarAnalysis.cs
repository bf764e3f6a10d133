namespace Sluice.Constraints.Grammars;

/// <summary>What must be known of a grammar before it can run: which rules can finish, may be empty, or begin with themselves.</summary>
internal sealed class GrammarAnalysis
{
    private readonly CompileBudget _budget;
    private readonly List<Rule> _rules = [];
    private readonly Dictionary<Rule, List<Rule>> _users = [];
    private readonly HashSet<Rule> _productive = [];
    private readonly HashSet<Rule> _nullable = [];

    public GrammarAnalysis(Rule root, CompileBudget budget)
    {
        _budget = budget;
        Collect(root);
        Saturate(_productive, IsProductive);
        Saturate(_nullable, IsNullable);
    }

    /// <summary>Every rule the root uses, itself first.</summary>
    public IReadOnlyList<Rule> Rules => _rules;

    /// <summary>Whether some text of finite length satisfies the rule.</summary>
    public bool IsProductive(Rule rule) => _productive.Contains(rule);

    /// <summary>Whether some text of finite length satisfies the node.</summary>
    public bool IsProductive(GrammarNode node) => Holds(node, _productive, terminal: true, token: true, 0);

    /// <summary>Whether the empty text satisfies the node.</summary>
    public bool IsNullable(GrammarNode node) => Holds(node, _nullable, terminal: false, token: false, 0);

    /// <summary>A rule that can come back to itself before it has read anything, which would never end; null if there is none.</summary>
    public Rule? FindLeftRecursion()
    {
        var done = new HashSet<Rule>();
        var onPath = new HashSet<Rule>();
        var path = new Stack<(Rule Rule, Queue<Rule> Next)>();
        foreach (Rule start in _rules)
        {
            if (!Enter(start))
                continue;
            while (path.TryPeek(out var top))
            {
                if (!top.Next.TryDequeue(out Rule? next))
                {
                    onPath.Remove(top.Rule);
                    path.Pop();
                }
                else if (onPath.Contains(next))
                {
                    return next;
                }
                else
                {
                    Enter(next);
                }
            }
        }

        return null;

        bool Enter(Rule rule)
        {
            if (!done.Add(rule))
                return false;
            var first = new Queue<Rule>();
            FirstRules(rule.Body, first, 0);
            onPath.Add(rule);
            path.Push((rule, first));
            return true;
        }
    }

    private void Collect(Rule root)
    {
        var seen = new HashSet<Rule> { root };
        _rules.Add(root);
        for (int i = 0; i < _rules.Count; i++)
        {
            Rule user = _rules[i];
            Visit(user.Body, used =>
            {
                if (seen.Add(used))
                    _rules.Add(used);
                if (!_users.TryGetValue(used, out List<Rule>? users))
                    _users.Add(used, users = []);
                users.Add(user);
            }, 0);
        }
    }

    private void Visit(GrammarNode node, Action<Rule> use, int depth)
    {
        Count(depth);
        switch (node)
        {
            case RuleNode rule:
                use(rule.Rule);
                break;
            case SequenceNode sequence:
                foreach (GrammarNode part in sequence.Parts)
                    Visit(part, use, depth + 1);
                break;
            case ChoiceNode choice:
                foreach (GrammarNode part in choice.Parts)
                    Visit(part, use, depth + 1);
                break;
            case RepeatNode repeat:
                Visit(repeat.Part, use, depth + 1);
                break;
        }
    }

    /// <summary>Grows the set until no more rules have the property; a rule is looked at again only when one it uses has gained it.</summary>
    private void Saturate(HashSet<Rule> set, Func<GrammarNode, bool> holds)
    {
        var open = new Queue<Rule>(_rules);
        while (open.TryDequeue(out Rule? rule))
        {
            if (set.Contains(rule) || !holds(rule.Body))
                continue;
            set.Add(rule);
            foreach (Rule user in _users.GetValueOrDefault(rule) ?? [])
                open.Enqueue(user);
        }
    }

    private bool Holds(GrammarNode node, HashSet<Rule> rules, bool terminal, bool token, int depth)
    {
        Count(depth);
        switch (node)
        {
            case TerminalNode leaf:
                return terminal || leaf.Terminal.Dfa.IsNullable;
            case TokenNode:
                return token;
            case RuleNode rule:
                return rules.Contains(rule.Rule);
            case SequenceNode sequence:
                foreach (GrammarNode part in sequence.Parts)
                {
                    if (!Holds(part, rules, terminal, token, depth + 1))
                        return false;
                }

                return true;
            case ChoiceNode choice:
                foreach (GrammarNode part in choice.Parts)
                {
                    if (Holds(part, rules, terminal, token, depth + 1))
                        return true;
                }

                return false;
            case RepeatNode repeat:
                return repeat.Min == 0 || Holds(repeat.Part, rules, terminal, token, depth + 1);
            default:
                throw new InvalidOperationException($"unknown node {node.GetType().Name}");
        }
    }

    /// <summary>The rules a text of the node may begin with; whether the node may be empty, so that what follows may come first.</summary>
    private bool FirstRules(GrammarNode node, Queue<Rule> first, int depth)
    {
        Count(depth);
        switch (node)
        {
            case RuleNode rule:
                first.Enqueue(rule.Rule);
                break;
            case SequenceNode sequence:
                foreach (GrammarNode part in sequence.Parts)
                {
                    if (!FirstRules(part, first, depth + 1))
                        return false;
                }

                return true;
            case ChoiceNode choice:
                foreach (GrammarNode part in choice.Parts)
                    FirstRules(part, first, depth + 1);
                break;
            case RepeatNode repeat:
                FirstRules(repeat.Part, first, depth + 1);
                break;
        }

        return IsNullable(node);
    }

    private void Count(int depth)
    {
        if (depth > 4 * _budget.Limits.Depth)
            throw _budget.TooDeep();
        _budget.Charge();
    }
}
