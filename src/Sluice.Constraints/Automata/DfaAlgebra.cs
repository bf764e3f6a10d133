namespace Sluice.Constraints.Automata;

/// <summary>Set operations on the languages of automata.</summary>
internal static class DfaAlgebra
{
    /// <summary>Texts that both accept.</summary>
    public static Dfa Intersect(Dfa a, Dfa b, CompileBudget budget, string what) =>
        a.IsEmpty ? a : b.IsEmpty ? b : Dfa.Explore(new Both(a, b), budget, what).Minimised();

    /// <summary>Texts that <paramref name="a"/> accepts and <paramref name="b"/> does not.</summary>
    public static Dfa Except(Dfa a, Dfa b, CompileBudget budget, string what) =>
        a.IsEmpty || b.IsEmpty ? a : Dfa.Explore(new OnlyFirst(a, b), budget, what).Minimised();

    /// <summary>Texts that use none but the given bytes.</summary>
    public static Dfa Restrict(Dfa a, ReadOnlySpan<bool> bytes, CompileBudget budget)
    {
        if (a.IsEmpty || !bytes.Contains(false))
            return a;
        var starts = new bool[257];
        for (int value = 1; value < 256; value++)
            starts[value] = bytes[value] != bytes[value - 1];
        return Dfa.Explore(new Restricted(a, bytes.ToArray(), ByteClasses.FromStarts(starts)), budget, "the constraint");
    }

    private sealed class Both(Dfa a, Dfa b) : IByteAutomaton<(int, int)>
    {
        public ByteClasses Classes { get; } = ByteClasses.Combine(a.Classes, b.Classes);

        public (int, int) Start => (0, 0);

        public bool IsAccepting((int, int) state) => a.IsAccepting(state.Item1) && b.IsAccepting(state.Item2);

        public bool TryStep((int, int) state, byte value, out (int, int) next)
        {
            next = (a.Step(state.Item1, value), b.Step(state.Item2, value));
            return next.Item1 != Dfa.Dead && next.Item2 != Dfa.Dead;
        }
    }

    private sealed class OnlyFirst(Dfa a, Dfa b) : IByteAutomaton<(int, int)>
    {
        public ByteClasses Classes { get; } = ByteClasses.Combine(a.Classes, b.Classes);

        public (int, int) Start => (0, 0);

        public bool IsAccepting((int, int) state) => a.IsAccepting(state.Item1) && (state.Item2 == Dfa.Dead || !b.IsAccepting(state.Item2));

        public bool TryStep((int, int) state, byte value, out (int, int) next)
        {
            next = (a.Step(state.Item1, value), state.Item2 == Dfa.Dead ? Dfa.Dead : b.Step(state.Item2, value));
            return next.Item1 != Dfa.Dead;
        }
    }

    private sealed class Restricted(Dfa a, bool[] bytes, ByteClasses classes) : IByteAutomaton<int>
    {
        public ByteClasses Classes { get; } = ByteClasses.Combine(a.Classes, classes);

        public int Start => 0;

        public bool IsAccepting(int state) => a.IsAccepting(state);

        public bool TryStep(int state, byte value, out int next)
        {
            next = bytes[value] ? a.Step(state, value) : Dfa.Dead;
            return next != Dfa.Dead;
        }
    }
}
