using System.Runtime.InteropServices;
using Sluice.Constraints.Automata;

namespace Sluice.Constraints.Vocabularies;

/// <summary>
/// How the tokens of a vocabulary read in each state of one automaton, found by walking the trie and kept: which tokens stay inside, whatever
/// comes after, and which pass through an accepting state and go on, so that it depends on what comes after. The first kind is nearly
/// everything in a string and never looked at again; the second is what a state of the parser has to try.
/// </summary>
internal sealed class TerminalTokens
{
    private readonly Dfa _dfa;
    private readonly int _unitStart;
    private readonly TokenVocabulary _vocabulary;
    private readonly State?[] _states;
    private readonly Lock _lock = new();
    private long _bytes;

    /// <param name="dfa">The automaton.</param>
    /// <param name="unitStart">The state in which a counted character begins, or <see cref="Dfa.Dead"/> if none are counted.</param>
    /// <param name="vocabulary">The tokens.</param>
    public TerminalTokens(Dfa dfa, int unitStart, TokenVocabulary vocabulary)
    {
        _dfa = dfa;
        _unitStart = unitStart;
        _vocabulary = vocabulary;
        _states = new State?[dfa.StateCount];
    }

    /// <summary>Memory used so far.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <summary>Tokens that keep within the automaton and begin at most <paramref name="room"/> characters.</summary>
    public TokenSet Inside(int state, int room)
    {
        lock (_lock)
        {
            State found = _states[state] ??= Walk(state);
            room = Math.Min(room, found.Inside.Length - 1);
            return found.Inside[room] ??= Select(found, room);
        }
    }

    /// <summary>Where tokens go on beyond the automaton, by the first byte of what is left of them; [256], null for no such token.</summary>
    public Crossing[]?[] Crossings(int state)
    {
        lock (_lock)
        {
            State found = _states[state] ??= Walk(state);
            return found.Crossings ??= Cross(state);
        }
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            Array.Clear(_states);
            Volatile.Write(ref _bytes, 0);
        }
    }

    private State Walk(int start)
    {
        var ids = new List<int>();
        var units = new List<int>();
        ReadOnlySpan<TrieNode> nodes = _vocabulary.Trie.Nodes;
        Span<int> states = new int[_vocabulary.Trie.MaxDepth + 1];
        Span<int> counts = new int[_vocabulary.Trie.MaxDepth + 1];
        states[0] = start;
        int most = 0;
        for (int i = 0; i < nodes.Length;)
        {
            ref readonly TrieNode node = ref nodes[i];
            int from = states[node.Depth - 1];
            int to = _dfa.Step(from, node.Label);
            if (to == Dfa.Dead)
            {
                i = node.End;
                continue;
            }

            int count = counts[node.Depth - 1] + (from == _unitStart && !_dfa.IsAccepting(to) ? 1 : 0);
            states[node.Depth] = to;
            counts[node.Depth] = count;
            for (int token = node.Token; token >= 0; token = _vocabulary.Trie.Same(token))
            {
                ids.Add(token);
                if (_unitStart != Dfa.Dead)
                    units.Add(count);
                most = Math.Max(most, count);
            }

            i++;
        }

        int[] sorted = [.. ids];
        int[] keys = [.. units];
        if (_unitStart != Dfa.Dead)
            Array.Sort(keys, sorted);
        var state = new State(sorted, keys, new TokenSet?[most + 1]);
        state.Inside[most] = TokenSet.Of(sorted, _vocabulary.MaskWords);
        if (_unitStart == Dfa.Dead)
            state.DropIds();
        Add(state.Inside[most]!.Bytes + (4L * (state.Ids.Length + keys.Length)) + 64);
        return state;
    }

    private TokenSet Select(State state, int room)
    {
        int count = state.Units.AsSpan().BinarySearch(room + 1) is var at && at < 0 ? ~at : at;
        while (count > 0 && state.Units[count - 1] > room)
            count--;
        var set = TokenSet.Of(state.Ids.AsSpan(0, count), _vocabulary.MaskWords);
        Add(set.Bytes);
        return set;
    }

    private Crossing[]?[] Cross(int start)
    {
        var lists = new List<Crossing>?[256];
        ReadOnlySpan<TrieNode> nodes = _vocabulary.Trie.Nodes;
        Span<int> states = new int[_vocabulary.Trie.MaxDepth + 1];
        Span<int> counts = new int[_vocabulary.Trie.MaxDepth + 1];
        states[0] = start;
        for (int i = 0; i < nodes.Length;)
        {
            ref readonly TrieNode node = ref nodes[i];
            int from = states[node.Depth - 1];
            if (node.Depth > 1 && _dfa.IsAccepting(from))
                (lists[node.Label] ??= []).Add(new Crossing(i, counts[node.Depth - 1]));
            int to = _dfa.Step(from, node.Label);
            if (to == Dfa.Dead)
            {
                i = node.End;
                continue;
            }

            states[node.Depth] = to;
            counts[node.Depth] = counts[node.Depth - 1] + (from == _unitStart && !_dfa.IsAccepting(to) ? 1 : 0);
            i++;
        }

        var crossings = new Crossing[]?[256];
        for (int value = 0; value < 256; value++)
        {
            if (lists[value] is not { } list)
                continue;
            crossings[value] = [.. list];
            Add(8L * list.Count);
        }

        Add(2048);
        return crossings;
    }

    private void Add(long bytes) => Volatile.Write(ref _bytes, _bytes + bytes);

    private sealed class State(int[] ids, int[] units, TokenSet?[] inside)
    {
        /// <summary>All tokens that stay inside, by how many characters they begin.</summary>
        public int[] Ids { get; private set; } = ids;

        public int[] Units { get; } = units;

        /// <summary>By how many characters may begin; the last is everything.</summary>
        public TokenSet?[] Inside { get; } = inside;

        public Crossing[]?[]? Crossings { get; set; }

        public void DropIds() => Ids = [];
    }
}

/// <summary>A token reached an accepting state before this node.</summary>
/// <param name="Node">The first node beyond, in the trie.</param>
/// <param name="Units">Counted characters the token began before it.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct Crossing(int Node, int Units);
