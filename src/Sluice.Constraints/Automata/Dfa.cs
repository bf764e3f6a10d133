namespace Sluice.Constraints.Automata;

/// <summary>
/// A deterministic automaton over bytes as a table. State 0 is the start; every state is reachable and leads to an accepting one, so
/// that what has been read so far can always be completed. An automaton that accepts nothing has no states.
/// </summary>
internal sealed class Dfa
{
    /// <summary>No state: no text continues so.</summary>
    public const int Dead = -1;

    private readonly int[] _next;
    private readonly bool[] _accepting;
    private readonly bool[] _continues;

    private Dfa(ByteClasses classes, int[] next, bool[] accepting)
    {
        Classes = classes;
        _next = next;
        _accepting = accepting;
        _continues = new bool[accepting.Length];
        for (int i = 0; i < next.Length; i++)
            _continues[i / classes.Count] |= next[i] != Dead;
    }

    public ByteClasses Classes { get; }

    public int StateCount => _accepting.Length;

    public bool IsEmpty => StateCount == 0;

    /// <summary>Whether the empty text is accepted.</summary>
    public bool IsNullable => StateCount > 0 && _accepting[0];

    public bool IsAccepting(int state) => _accepting[state];

    /// <summary>Whether any byte leads on.</summary>
    public bool Continues(int state) => _continues[state];

    public int Step(int state, byte value) => _next[(state * Classes.Count) + Classes[value]];

    /// <summary>Where each class of bytes leads, state by state.</summary>
    public ReadOnlySpan<int> Table => _next;

    /// <summary>Whether the automaton accepts exactly this text.</summary>
    public bool Accepts(ReadOnlySpan<byte> text)
    {
        int state = IsEmpty ? Dead : 0;
        for (int i = 0; i < text.Length && state != Dead; i++)
            state = Step(state, text[i]);
        return state != Dead && _accepting[state];
    }

    /// <summary>Makes the table of an automaton: follows every byte from every state, then drops states that lead nowhere.</summary>
    /// <param name="source">The automaton.</param>
    /// <param name="budget">Limits the states.</param>
    /// <param name="what">Names it in the error when it has too many.</param>
    public static Dfa Explore<TState>(IByteAutomaton<TState> source, CompileBudget budget, string what)
        where TState : IEquatable<TState>
    {
        ByteClasses classes = source.Classes;
        var numbers = new Dictionary<TState, int>();
        var states = new List<TState>();
        var next = new List<int>();
        Add(source.Start);
        for (int state = 0; state < states.Count; state++)
        {
            budget.Charge(classes.Count);
            foreach (byte value in classes.Representatives)
                next.Add(source.TryStep(states[state], value, out TState target) ? Add(target) : Dead);
        }

        return Trimmed(classes, next, [.. states.Select(source.IsAccepting)]);

        int Add(TState state)
        {
            if (numbers.TryGetValue(state, out int number))
                return number;
            if (states.Count == budget.Limits.AutomatonStates)
                throw budget.TooComplex($"{what} needs more than {budget.Limits.AutomatonStates} automaton states");
            numbers.Add(state, states.Count);
            states.Add(state);
            return states.Count - 1;
        }
    }

    /// <summary>The same language in the fewest states (Moore's refinement); as it is where that would take long.</summary>
    public Dfa Minimised()
    {
        const int Largest = 400;
        if (StateCount is < 2 or > Largest)
            return this;
        int[] block = Blocks(int.MaxValue);
        int classCount = Classes.Count;
        int count = block.Max() + 1;
        var next = new int[count * classCount];
        var accepting = new bool[count];
        for (int state = 0; state < StateCount; state++)
        {
            accepting[block[state]] = _accepting[state];
            for (int c = 0; c < classCount; c++)
                next[(block[state] * classCount) + c] = _next[(state * classCount) + c] is >= 0 and int target ? block[target] : Dead;
        }

        return new Dfa(Classes, next, accepting);
    }

    /// <summary>
    /// Numbers states so that two have the same number when no text of up to <paramref name="length"/> bytes tells them apart, neither by
    /// where it is accepted nor by whether it can be read at all (Moore's refinement, as many rounds).
    /// </summary>
    public int[] Blocks(int length)
    {
        int classCount = Classes.Count;
        int[] block = [.. _accepting.Select(accepts => accepts ? 1 : 0)];
        int blocks = block.Distinct().Count();
        for (int round = 0; round < length; round++)
        {
            var known = new Dictionary<StateList, int>();
            var refined = new int[StateCount];
            for (int state = 0; state < StateCount; state++)
            {
                var signature = new int[classCount + 1];
                signature[0] = block[state];
                for (int c = 0; c < classCount; c++)
                    signature[c + 1] = _next[(state * classCount) + c] is >= 0 and int target ? block[target] : Dead;
                if (!known.TryGetValue(new StateList(signature), out refined[state]))
                    known.Add(new StateList(signature), refined[state] = known.Count);
            }

            // Blocks are numbered as they are met, so that of the start is 0.
            block = refined;
            if (known.Count == blocks)
                break;
            blocks = known.Count;
        }

        return block;
    }

    private Dfa WithFewestClasses()
    {
        int count = Classes.Count;
        var merged = new Dictionary<StateList, int>();
        var kept = new List<int>();
        var numbers = new int[count];
        for (int c = 0; c < count; c++)
        {
            var column = new int[StateCount];
            for (int state = 0; state < column.Length; state++)
                column[state] = _next[(state * count) + c];
            if (!merged.TryGetValue(new StateList(column), out numbers[c]))
            {
                merged.Add(new StateList(column), numbers[c] = kept.Count);
                kept.Add(c);
            }
        }

        if (kept.Count == count)
            return this;
        var next = new int[StateCount * kept.Count];
        for (int i = 0; i < next.Length; i++)
            next[i] = _next[(i / kept.Count * count) + kept[i % kept.Count]];
        return new Dfa(Classes.Merge(numbers), next, _accepting);
    }

    private static Dfa Trimmed(ByteClasses classes, List<int> next, bool[] accepting)
    {
        int count = accepting.Length, classCount = classes.Count;
        var sources = new List<int>[count];
        for (int i = 0; i < next.Count; i++)
        {
            if (next[i] != Dead)
                (sources[next[i]] ??= []).Add(i / classCount);
        }

        var leads = new bool[count];
        var open = new Stack<int>();
        for (int state = 0; state < count; state++)
        {
            if (accepting[state])
                Mark(state);
        }

        while (open.TryPop(out int state))
        {
            foreach (int source in sources[state] ?? [])
                Mark(source);
        }

        var number = new int[count];
        int kept = 0;
        for (int state = 0; state < count; state++)
            number[state] = leads[state] ? kept++ : Dead;
        if (count == 0 || !leads[0])
            return new Dfa(classes, [], []);

        // Every state that leads to acceptance was found from the start; through states that lead nowhere it cannot have been.
        var table = new int[kept * classCount];
        var accepts = new bool[kept];
        for (int state = 0; state < count; state++)
        {
            if (!leads[state])
                continue;
            accepts[number[state]] = accepting[state];
            for (int c = 0; c < classCount; c++)
                table[(number[state] * classCount) + c] = next[(state * classCount) + c] is >= 0 and int target ? number[target] : Dead;
        }

        return new Dfa(classes, table, accepts).WithFewestClasses();

        void Mark(int state)
        {
            if (leads[state])
                return;
            leads[state] = true;
            open.Push(state);
        }
    }
}
