namespace Sluice.Constraints.Grammars;

/// <summary>What a step of the program does before it goes on at <see cref="ProgramStep.Next"/>.</summary>
internal enum StepKind : byte
{
    /// <summary>The piece is done: go on where it was called.</summary>
    Return,

    /// <summary>Read text of a terminal.</summary>
    Terminal,

    /// <summary>Read one added token.</summary>
    Token,

    /// <summary>Do what starts at <see cref="ProgramStep.Argument"/>, then come back.</summary>
    Call,

    /// <summary>Go on at any of several steps.</summary>
    Split,

    /// <summary>Do what starts at <see cref="ProgramStep.Argument"/> again and again.</summary>
    Repeat,
}

/// <summary>A step of a grammar in the form that is run.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="Argument">The terminal's number, the token, the step to call, or the number of the list of targets.</param>
/// <param name="Next">The step after; 0, a return, if it is the last.</param>
/// <param name="Min">Repetitions there must be.</param>
/// <param name="Max">Repetitions there may be; <see cref="int.MaxValue"/> for any number.</param>
internal readonly record struct ProgramStep(StepKind Kind, int Argument, int Next, int Min = 0, int Max = 0);

/// <summary>A grammar flattened into steps. Step 0 is a return.</summary>
internal sealed class GrammarProgram
{
    /// <summary>The step that ends every piece.</summary>
    public const int Return = 0;

    // Each turn of a repetition that may be empty can pass without reading, so its turns are tried one after the other.
    private const int LargestEmptyRepeat = 64;

    private readonly CompileBudget _budget;
    private readonly GrammarAnalysis _analysis;
    private readonly List<ProgramStep> _steps = [new(StepKind.Return, 0, 0)];
    private readonly List<int[]> _targets = [];
    private readonly List<Terminal> _terminals = [];
    private readonly Dictionary<Terminal, int> _terminalNumbers = [];
    private readonly Dictionary<Rule, int> _entries = [];

    private GrammarProgram(GrammarAnalysis analysis, CompileBudget budget)
    {
        _budget = budget;
        _analysis = analysis;
    }

    /// <summary>Where the text begins.</summary>
    public int Entry { get; private set; }

    public IReadOnlyList<Terminal> Terminals => _terminals;

    /// <summary>Flattens a grammar.</summary>
    /// <exception cref="Core.RequestException">No text satisfies it, or a rule begins with itself.</exception>
    public static GrammarProgram Build(Rule root, CompileBudget budget)
    {
        var analysis = new GrammarAnalysis(root, budget);
        if (!analysis.IsProductive(root))
            throw budget.Invalid("no text can satisfy the constraint");
        if (analysis.FindLeftRecursion() is { } rule)
            throw budget.Unsupported($"{rule.Name} refers to itself before anything is read");
        var program = new GrammarProgram(analysis, budget);

        // A place is kept for each rule first, as rules refer to each other.
        foreach (Rule used in analysis.Rules)
            program._entries.Add(used, program.Add(default));
        foreach (Rule used in analysis.Rules)
        {
            if (analysis.IsProductive(used))
                program._steps[program._entries[used]] = new ProgramStep(StepKind.Call, program.Flatten(used.Body, Return, 0), Return);
        }

        program.Entry = program._entries[root];
        return program;
    }

    public ProgramStep this[int step] => _steps[step];

    public ReadOnlySpan<int> Targets(int list) => _targets[list];

    private int Flatten(GrammarNode node, int next, int depth)
    {
        if (depth > 4 * _budget.Limits.Depth)
            throw _budget.TooDeep();
        switch (node)
        {
            case TerminalNode leaf:
                return Add(new ProgramStep(StepKind.Terminal, Number(leaf.Terminal), next));
            case TokenNode token:
                return Add(new ProgramStep(StepKind.Token, token.Token, next));
            case RuleNode rule:
                return Add(new ProgramStep(StepKind.Call, _entries[rule.Rule], next));
            case SequenceNode sequence:
                for (int i = sequence.Parts.Count - 1; i >= 0; i--)
                    next = Flatten(sequence.Parts[i], next, depth + 1);
                return next;
            case ChoiceNode choice:
                var targets = new List<int>();
                foreach (GrammarNode part in choice.Parts)
                {
                    if (_analysis.IsProductive(part))
                        targets.Add(Flatten(part, next, depth + 1));
                }

                return targets.Count == 1 ? targets[0] : Split([.. targets]);
            case RepeatNode repeat:
                return FlattenRepeat(repeat, next, depth);
            default:
                throw new InvalidOperationException($"unknown node {node.GetType().Name}");
        }
    }

    private int FlattenRepeat(RepeatNode repeat, int next, int depth)
    {
        int min = repeat.Min, max = repeat.Max ?? int.MaxValue;
        if (max == 0 || !_analysis.IsProductive(repeat.Part))
            return next;
        if (_analysis.IsNullable(repeat.Part))
        {
            min = 0;
            if (max is > LargestEmptyRepeat and < int.MaxValue)
                throw _budget.Unsupported($"a part that may be empty can be repeated at most {LargestEmptyRepeat} times or without limit, found {max}");
        }

        if (min == 1 && max == 1)
            return Flatten(repeat.Part, next, depth + 1);
        if (min == 0 && max == 1)
            return Split([Flatten(repeat.Part, next, depth + 1), next]);
        return Add(new ProgramStep(StepKind.Repeat, Flatten(repeat.Part, Return, depth + 1), next, min, max));
    }

    private int Split(int[] targets)
    {
        _budget.ChargeNodes(targets.Length);
        _targets.Add(targets);
        return Add(new ProgramStep(StepKind.Split, _targets.Count - 1, Return));
    }

    private int Number(Terminal terminal)
    {
        if (!_terminalNumbers.TryGetValue(terminal, out int number))
        {
            _terminalNumbers.Add(terminal, number = _terminals.Count);
            _terminals.Add(terminal);
        }

        return number;
    }

    private int Add(ProgramStep step)
    {
        _budget.ChargeNodes();
        _steps.Add(step);
        return _steps.Count - 1;
    }
}
