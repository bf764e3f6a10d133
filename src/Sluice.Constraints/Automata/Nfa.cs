namespace Sluice.Constraints.Automata;

/// <summary>
/// Thompson's nondeterministic automaton of a pattern. A state has either byte ranges or empty moves. Built backwards, each part knowing
/// the state that follows it, so that counted repetitions leave by one move and not through all copies after them.
/// </summary>
internal sealed class Nfa
{
    /// <summary>The one accepting state.</summary>
    public const int Accept = 0;

    private readonly CompileBudget _budget;
    private readonly List<(byte First, byte Last, int Target)[]> _edges = [];
    private readonly List<int[]> _moves = [];
    private readonly bool[] _classStarts = new bool[257];

    public Nfa(Pattern pattern, CompileBudget budget)
    {
        _budget = budget;
        Add([], []);
        Start = Build(pattern, Accept, 0);
        Classes = ByteClasses.FromStarts(_classStarts);
    }

    public int Start { get; }

    public int StateCount => _edges.Count;

    public ByteClasses Classes { get; }

    /// <summary>Where bytes lead.</summary>
    public ReadOnlySpan<(byte First, byte Last, int Target)> Edges(int state) => _edges[state];

    /// <summary>Where the empty text leads.</summary>
    public ReadOnlySpan<int> Moves(int state) => _moves[state];

    private int Build(Pattern pattern, int next, int depth)
    {
        if (depth > 4 * _budget.Limits.Depth)
            throw _budget.TooDeep();
        switch (pattern)
        {
            case BytesPattern bytes:
                for (int i = bytes.Bytes.Length - 1; i >= 0; i--)
                    next = Add([(bytes.Bytes[i], bytes.Bytes[i], next)], []);
                return next;
            case SetPattern set:
                return BuildSet(set.Set, next);
            case SequencePattern sequence:
                for (int i = sequence.Parts.Count - 1; i >= 0; i--)
                    next = Build(sequence.Parts[i], next, depth + 1);
                return next;
            case ChoicePattern choice:
                var starts = new int[choice.Parts.Count];
                for (int i = 0; i < starts.Length; i++)
                    starts[i] = Build(choice.Parts[i], next, depth + 1);
                return Add([], starts);
            case RepeatPattern repeat:
                return BuildRepeat(repeat, next, depth);
            default:
                throw new InvalidOperationException($"no automaton for {pattern.GetType().Name}");
        }
    }

    private int BuildRepeat(RepeatPattern repeat, int next, int depth)
    {
        int start;
        if (repeat.Max is not { } max)
        {
            start = Add([], [next]);
            int body = Build(repeat.Part, start, depth + 1);
            _moves[start] = [body, next];
        }
        else
        {
            start = next;
            for (int i = repeat.Min; i < max; i++)
                start = Add([], [Build(repeat.Part, start, depth + 1), next]);
        }

        for (int i = 0; i < repeat.Min; i++)
        {
            _budget.ChargeNodes(); // a part may be empty and cost nothing by itself
            start = Build(repeat.Part, start, depth + 1);
        }

        return start;
    }

    private int BuildSet(CodePointSet set, int next)
    {
        // Shared endings keep the sequences of a large set few.
        var shared = new Dictionary<(byte, byte, int), int>();
        var first = new List<(byte First, byte Last, int Target)>();
        foreach ((int low, int high) in set.Ranges)
        {
            Utf8Ranges.Split(low, high, bytes =>
            {
                int target = next;
                for (int i = bytes.Length - 1; i > 0; i--)
                {
                    var key = (bytes[i].First, bytes[i].Last, target);
                    if (!shared.TryGetValue(key, out int state))
                        shared.Add(key, state = Add([key], []));
                    target = state;
                }

                first.Add((bytes[0].First, bytes[0].Last, target));
            });
        }

        return Add([.. first], []);
    }

    private int Add((byte First, byte Last, int Target)[] edges, int[] moves)
    {
        _budget.ChargeNodes(1 + edges.Length);
        foreach ((byte first, byte last, _) in edges)
            _classStarts[first] = _classStarts[last + 1] = true;
        _edges.Add(edges);
        _moves.Add(moves);
        return _edges.Count - 1;
    }
}
