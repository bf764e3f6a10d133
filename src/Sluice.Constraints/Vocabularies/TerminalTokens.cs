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
    private readonly TokenTrie _trie;
    private readonly int _words;
    private readonly int[]? _alike;
    private readonly State?[] _states;
    private readonly Lock _lock = new();
    private long _bytes;

    /// <param name="dfa">The automaton.</param>
    /// <param name="unitStart">The state in which a counted character begins, or <see cref="Dfa.Dead"/> if none are counted.</param>
    /// <param name="trie">The tokens.</param>
    /// <param name="words">Words of a mask.</param>
    /// <param name="alike">By state, the first that none of the tokens tells from it; null where that is not known.</param>
    public TerminalTokens(Dfa dfa, int unitStart, TokenTrie trie, int words, int[]? alike)
    {
        _dfa = dfa;
        _unitStart = unitStart;
        _trie = trie;
        _words = words;
        _alike = alike;
        _states = new State?[dfa.StateCount];
    }

    /// <summary>Memory used so far.</summary>
    public long MemoryBytes => Volatile.Read(ref _bytes);

    /// <summary>The trie they are in.</summary>
    public TokenTrie Trie => _trie;

    /// <summary>All tokens that keep within the automaton.</summary>
    public TokenSet All(int state) => At(state).All;

    /// <summary>The most characters that one of them begins.</summary>
    public int MostUnits(int state) => At(state).Inside.Length - 1;

    /// <summary>Those that begin at most <paramref name="room"/> characters and do not end in an accepting state.</summary>
    public TokenSet Inside(int state, int room)
    {
        State found = At(state);
        lock (_lock)
        {
            room = Math.Min(room, found.Inside.Length - 1);
            return found.Inside[room] ??= Select(found, room);
        }
    }

    /// <summary>Where characters are counted, the tokens that end in an accepting state, and how many they begin before.</summary>
    public ReadOnlySpan<(int Token, int Units)> Closing(int state) => At(state).Closing;

    /// <summary>Where tokens go on beyond the automaton, by the first byte of what is left of them; [256], null for no such token.</summary>
    public Crossing[]?[] Crossings(int state)
    {
        State found = At(state);
        lock (_lock)
            return found.Crossings ??= Cross(Representative(state));
    }

    /// <summary>Finds out everything ahead of use.</summary>
    public void Complete()
    {
        for (int state = 0; state < _states.Length; state++)
        {
            All(state);
            Crossings(state);
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

    private State At(int state)
    {
        lock (_lock)
            return _states[Representative(state)] ??= Walk(Representative(state));
    }

    private int Representative(int state) => _alike is null ? state : _alike[state];

    private State Walk(int start)
    {
        var all = new List<int>();
        var closing = new List<(int, int)>();
        var ids = new List<int>();
        var units = new List<int>();
        ReadOnlySpan<TrieNode> nodes = _trie.Nodes;
        ReadOnlySpan<int> table = _dfa.Table;
        ReadOnlySpan<byte> classes = _dfa.Classes.Map;
        int classCount = _dfa.Classes.Count;
        Span<int> states = new int[_trie.MaxDepth + 1];
        Span<int> counts = new int[_trie.MaxDepth + 1];
        states[0] = start;
        int most = 0;
        for (int i = 0; i < nodes.Length;)
        {
            ref readonly TrieNode node = ref nodes[i];
            int from = states[node.Depth - 1];
            int to = table[(from * classCount) + classes[node.Label]];
            if (to == Dfa.Dead)
            {
                i = node.End;
                continue;
            }

            states[node.Depth] = to;
            int count = 0;
            if (_unitStart != Dfa.Dead)
                counts[node.Depth] = count = counts[node.Depth - 1] + (from == _unitStart && !_dfa.IsAccepting(to) ? 1 : 0);
            for (int token = node.Token; token >= 0; token = _trie.Same(token))
            {
                all.Add(token);
                most = Math.Max(most, count);
                if (_unitStart == Dfa.Dead)
                    continue;
                if (_dfa.IsAccepting(to))
                {
                    closing.Add((token, count));
                    continue;
                }

                ids.Add(token);
                units.Add(count);
            }

            i++;
        }

        int[] sorted = [.. ids];
        int[] keys = [.. units];
        Array.Sort(keys, sorted);
        var set = TokenSet.Of(CollectionsMarshal.AsSpan(all), _words);
        Add(set.Bytes + (8L * (keys.Length + closing.Count)) + 100);
        return new State(set, sorted, keys, [.. closing], new TokenSet?[most + 1]);
    }

    private TokenSet Select(State state, int room)
    {
        int count = state.Units.AsSpan().BinarySearch(room + 1) is var at && at < 0 ? ~at : at;
        while (count > 0 && state.Units[count - 1] > room)
            count--;
        var set = TokenSet.Of(state.Ids.AsSpan(0, count), _words);
        Add(set.Bytes);
        return set;
    }

    private Crossing[]?[] Cross(int start)
    {
        var lists = new List<Crossing>?[256];
        ReadOnlySpan<TrieNode> nodes = _trie.Nodes;
        Span<int> states = new int[_trie.MaxDepth + 1];
        Span<int> counts = new int[_trie.MaxDepth + 1];
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

    private sealed class State(TokenSet all, int[] ids, int[] units, (int, int)[] closing, TokenSet?[] inside)
    {
        public TokenSet All { get; } = all;

        /// <summary>Where characters are counted, the tokens that do not close, by how many they begin.</summary>
        public int[] Ids { get; } = ids;

        public int[] Units { get; } = units;

        public (int Token, int Units)[] Closing { get; } = closing;

        /// <summary>Those of <see cref="Ids"/> that begin at most so many.</summary>
        public TokenSet?[] Inside { get; } = inside;

        public Crossing[]?[]? Crossings { get; set; }
    }
}

/// <summary>A token reached an accepting state before this node.</summary>
/// <param name="Node">The first node beyond, in the trie.</param>
/// <param name="Units">Counted characters the token began before it.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct Crossing(int Node, int Units);
