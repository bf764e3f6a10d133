namespace Sluice.Constraints.Automata;

/// <summary>The subset construction: a state is the set of nondeterministic states that the text so far may have led to.</summary>
internal sealed class Determiniser : IByteAutomaton<StateList>
{
    private readonly Nfa _nfa;
    private readonly CompileBudget _budget;
    private readonly bool[] _seen;
    private readonly List<int> _found = [];
    private readonly Stack<int> _open = new();

    public Determiniser(Nfa nfa, CompileBudget budget)
    {
        _nfa = nfa;
        _budget = budget;
        _seen = new bool[nfa.StateCount];
        Reach(nfa.Start);
        Start = Take();
    }

    public ByteClasses Classes => _nfa.Classes;

    public StateList Start { get; }

    public bool IsAccepting(StateList state) => state.Values is [Nfa.Accept, ..];

    public bool TryStep(StateList state, byte value, out StateList next)
    {
        foreach (int source in state.Values)
        {
            foreach ((byte first, byte last, int target) in _nfa.Edges(source))
            {
                if (first <= value && value <= last)
                    Reach(target);
            }
        }

        next = Take();
        return next.Values.Length > 0;
    }

    private void Reach(int state)
    {
        Visit(state);
        while (_open.TryPop(out int current))
        {
            foreach (int target in _nfa.Moves(current))
                Visit(target);
        }
    }

    private void Visit(int state)
    {
        if (_seen[state])
            return;
        _seen[state] = true;
        _found.Add(state);
        _open.Push(state);
    }

    private StateList Take()
    {
        _budget.Charge(_found.Count);
        foreach (int state in _found)
            _seen[state] = false;

        // States with empty moves alone are on the way, not places to be.
        _found.RemoveAll(state => state != Nfa.Accept && _nfa.Edges(state).IsEmpty);
        _found.Sort();
        var states = new StateList([.. _found]);
        _found.Clear();
        return states;
    }
}
