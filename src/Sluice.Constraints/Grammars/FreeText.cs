using Sluice.Constraints.Automata;

namespace Sluice.Constraints.Grammars;

/// <summary>Text without a form, up to where some words occur in it for the first time.</summary>
internal static class FreeText
{
    /// <summary>Texts that end with the words, which occur nowhere before.</summary>
    public static Dfa UpTo(byte[] words, CompileBudget budget) => Build(words, inclusive: true, budget);

    /// <summary>Texts in which the words do not occur.</summary>
    public static Dfa Without(byte[] words, CompileBudget budget) => Build(words, inclusive: false, budget);

    private static Dfa Build(byte[] words, bool inclusive, CompileBudget budget)
    {
        Dfa any = Pattern.AnyText.Compile(budget, "free text");
        Dfa search = Dfa.Explore(new Search(words, inclusive), budget, "free text");
        return DfaAlgebra.Intersect(any, search, budget, "free text");
    }

    /// <summary>Knuth, Morris and Pratt: a state is how many of the words' bytes the text ends with.</summary>
    private sealed class Search : IByteAutomaton<int>
    {
        private readonly byte[] _words;
        private readonly bool _inclusive;
        private readonly int[] _shorter;

        public Search(byte[] words, bool inclusive)
        {
            _words = words;
            _inclusive = inclusive;
            _shorter = new int[words.Length];
            Classes = ByteClasses.Distinguishing(words);
            for (int i = 1, length = 0; i < words.Length; i++)
            {
                while (length > 0 && words[i] != words[length])
                    length = _shorter[length - 1];
                _shorter[i] = words[i] == words[length] ? ++length : length;
            }
        }

        public ByteClasses Classes { get; }

        public int Start => 0;

        public bool IsAccepting(int state) => _inclusive == (state == _words.Length);

        public bool TryStep(int state, byte value, out int next)
        {
            next = state;
            if (state == _words.Length)
                return false;
            while (next > 0 && value != _words[next])
                next = _shorter[next - 1];
            if (value == _words[next])
                next++;
            return _inclusive || next < _words.Length;
        }
    }
}
