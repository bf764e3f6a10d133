using System.Diagnostics;
using Sluice.Constraints.Automata;
using Sluice.Constraints.Grammars;
using Sluice.Constraints.Vocabularies;

namespace Sluice.Constraints.Matching;

/// <summary>
/// The grammar as an automaton whose states are found as texts lead to them. Its caches are shared by all texts under the constraint and
/// guarded by one lock, which no one else but another engine would contend for.
/// </summary>
internal sealed class ParserAutomaton
{
    // A longer list is referred to, not copied.
    private const int FewIds = 64;

    private readonly GrammarProgram _program;
    private readonly TokenVocabulary _vocabulary;
    private readonly ConstraintLimits _limits;
    private readonly ByteClasses _classes;
    private readonly (Terminal Terminal, TerminalTokens Tokens)[] _own;
    private readonly Lock _lock = new();
    private readonly StackTable _stacks = new();
    private readonly ReadingCollector _collector;
    private readonly Dictionary<ParserState, ParserState> _states = [];
    private readonly Dictionary<StackNode, ParserState> _afterReturn = [];
    private readonly ParserState[] _path;
    private readonly ulong[] _found;
    private readonly List<int> _ids = [];
    private readonly List<TokenSet> _sets = [];
    private ParserState _start;
    private int _generation;
    private long _bytes;
    private long _ownBytes;

    /// <param name="program">The grammar.</param>
    /// <param name="vocabulary">The tokens.</param>
    /// <param name="shared">Terminals whose caches others use as well.</param>
    /// <param name="limits">Bounds the caches.</param>
    public ParserAutomaton(GrammarProgram program, TokenVocabulary vocabulary, IReadOnlySet<TerminalTokens> shared, ConstraintLimits limits)
    {
        _program = program;
        _vocabulary = vocabulary;
        _limits = limits;
        _own =
        [
            .. program.Terminals.SelectMany(terminal => terminal.Tokens, (terminal, tokens) => (terminal, tokens))
                .Where(own => !shared.Contains(own.tokens)).DistinctBy(own => own.tokens),
        ];
        _classes = ByteClasses.Distinguishing([]);
        foreach (Terminal terminal in program.Terminals)
            _classes = ByteClasses.Combine(_classes, terminal.Dfa.Classes);
        _collector = new ReadingCollector(program, _stacks, limits.Ambiguity);
        _path = new ParserState[Math.Max(vocabulary.ShortTokens.MaxDepth, vocabulary.LongTokens.MaxDepth) + 1];
        _found = new ulong[vocabulary.MaskWords];
        _start = FindStart();
    }

    /// <summary>Before the first token.</summary>
    public ParserState Start
    {
        get
        {
            lock (_lock)
                return _start;
        }
    }

    /// <summary>Memory that states and masks use, roughly.</summary>
    public long CacheBytes
    {
        get
        {
            lock (_lock)
                return Measure();
        }
    }

    /// <summary>Where a token leads from a state, or <see cref="ParserState.Dead"/>.</summary>
    public ParserState Accept(ParserState state, int token)
    {
        lock (_lock)
        {
            state = Current(state);
            ReadOnlySpan<byte> bytes = _vocabulary.Bytes(token);
            if (bytes.IsEmpty)
                return AcceptAdded(state, token);
            foreach (byte value in bytes)
            {
                state = Step(state, value);
                if (ReferenceEquals(state, ParserState.Dead))
                    break;
            }

            return state;
        }
    }

    /// <summary>Writes the tokens that may come next, [<see cref="TokenVocabulary.MaskWords"/>]; the state as it is now to be known.</summary>
    public ParserState Fill(ParserState state, Span<ulong> mask)
    {
        lock (_lock)
        {
            state = Current(state);
            TokenSet[] sets = state.Allowed ??= FindAllowed(state);
            mask.Clear();
            foreach (TokenSet set in sets)
                set.AddTo(mask);
            return state;
        }
    }

    /// <summary>Looks at the tokens of as many terminal states as the time allows, so that the first texts find them done.</summary>
    public void WarmUp(CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        for (int state = 0, most = _own.Select(own => own.Terminal.Dfa.StateCount).DefaultIfEmpty().Max(); state < most; state++)
        {
            foreach ((Terminal terminal, TerminalTokens tokens) in _own)
            {
                if (state >= terminal.Dfa.StateCount)
                    continue;
                cancellation.ThrowIfCancellationRequested();
                if (Stopwatch.GetElapsedTime(start) > _limits.WarmUpTime || Measure() > _limits.CacheBytes / 2)
                    return;
                tokens.All(state);
            }
        }
    }

    private ParserState AcceptAdded(ParserState state, int token)
    {
        try
        {
            foreach (Reading reading in state.Readings)
            {
                if (reading.IsToken && reading.Token == token)
                    _collector.Follow(GrammarProgram.Return, reading.Stack);
            }

            return TakeCollected();
        }
        finally
        {
            _collector.Clear();
        }
    }

    private ParserState Step(ParserState state, byte value)
    {
        int c = _classes[value];
        return state.Next[c] ??= FindNext(state, value);
    }

    private ParserState FindNext(ParserState state, byte value)
    {
        try
        {
            foreach (Reading reading in state.Readings)
            {
                if (reading.IsToken)
                    continue;
                Terminal terminal = _program.Terminals[reading.Leaf];
                if (!terminal.TryStep(reading.State, reading.Count, value, out int next, out int count))
                    continue;
                if (terminal.Dfa.Continues(next))
                    _collector.Add(reading with { State = next, Count = count });
                if (terminal.Dfa.IsAccepting(next))
                    _collector.Follow(GrammarProgram.Return, reading.Stack);
            }

            return TakeCollected();
        }
        finally
        {
            _collector.Clear();
        }
    }

    /// <summary>The state in which a leaf with this stack has just been read.</summary>
    private ParserState AfterReturn(StackNode stack)
    {
        if (_afterReturn.TryGetValue(stack, out ParserState? state))
            return state;
        try
        {
            _collector.Follow(GrammarProgram.Return, stack);
            state = TakeCollected();
        }
        finally
        {
            _collector.Clear();
        }

        _afterReturn.Add(stack, state);
        _bytes += 48;
        return state;
    }

    private ParserState TakeCollected() => Unique(_collector.Take(_classes.Count, _generation));

    private ParserState Unique(ParserState state)
    {
        if (state.Readings.IsEmpty && !state.CanEnd)
            return ParserState.Dead;
        if (_states.TryGetValue(state, out ParserState? known))
            return known;
        _states.Add(state, state);
        _bytes += 200 + (32L * state.Readings.Length) + (8L * _classes.Count);
        return state;
    }

    private ParserState FindStart()
    {
        try
        {
            _collector.Follow(_program.Entry, _stacks.Bottom);
            return TakeCollected();
        }
        finally
        {
            _collector.Clear();
        }
    }

    private TokenSet[] FindAllowed(ParserState state)
    {
        _ids.Clear();
        _sets.Clear();
        Array.Clear(_found);
        foreach (Reading reading in state.Readings)
        {
            if (reading.IsToken)
            {
                Find(reading.Token);
                continue;
            }

            FindInside(_program.Terminals[reading.Leaf], reading);
        }

        foreach (Reading reading in state.Readings)
        {
            if (!reading.IsToken)
                FindCrossing(reading);
        }

        if (state.CanEnd)
        {
            foreach (int end in _vocabulary.EndTokens)
                Find(end);
        }

        if (_ids.Count > 0)
        {
            var own = TokenSet.Of(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_ids), _vocabulary.MaskWords);
            _bytes += own.Bytes;
            _sets.Add(own);
        }

        MeasureOwn();
        return [.. _sets];
    }

    /// <summary>Finds tokens that keep within the leaf.</summary>
    private void FindInside(Terminal terminal, Reading reading)
    {
        foreach (TerminalTokens tokens in terminal.Tokens)
            FindInside(terminal, tokens, reading);
    }

    private void FindInside(Terminal terminal, TerminalTokens tokens, Reading reading)
    {
        if (reading.Count >= terminal.Min && (terminal.Max == int.MaxValue || terminal.Max - reading.Count >= tokens.MostUnits(reading.State)))
        {
            Find(tokens.All(reading.State));
            return;
        }

        Find(tokens.Inside(reading.State, terminal.Max - reading.Count));
        foreach ((int token, int units) in tokens.Closing(reading.State))
        {
            if (Fits(terminal, reading.Count, units))
                Find(token);
        }
    }

    private static bool Fits(Terminal terminal, int count, int units) => units >= (long)terminal.Min - count && units <= terminal.Max - count;

    /// <summary>Finds tokens that finish the leaf and go on with what follows it.</summary>
    private void FindCrossing(Reading reading)
    {
        ParserState after = AfterReturn(reading.Stack);
        if (!after.ReadsBytes)
            return;
        Terminal terminal = _program.Terminals[reading.Leaf];
        foreach (TerminalTokens tokens in terminal.Tokens)
            FindCrossing(terminal, tokens, reading, after);
    }

    private void FindCrossing(Terminal terminal, TerminalTokens tokens, Reading reading, ParserState after)
    {
        Crossing[]?[] crossings = tokens.Crossings(reading.State);
        for (int value = 0; value < crossings.Length; value++)
        {
            if (crossings[value] is not { } list)
                continue;
            ParserState next = Step(after, (byte)value);
            if (ReferenceEquals(next, ParserState.Dead))
                continue;
            foreach (Crossing crossing in list)
            {
                if (Fits(terminal, reading.Count, crossing.Units))
                    FindBelow(tokens.Trie, crossing.Node, next);
            }
        }
    }

    /// <summary>Finds the tokens at and below a node of the trie that the parser follows.</summary>
    private void FindBelow(TokenTrie trie, int top, ParserState state)
    {
        ReadOnlySpan<TrieNode> nodes = trie.Nodes;
        Find(trie, in nodes[top]);
        _path[nodes[top].Depth] = state;
        for (int i = top + 1, end = nodes[top].End; i < end;)
        {
            ref readonly TrieNode node = ref nodes[i];
            ParserState next = Step(_path[node.Depth - 1], node.Label);
            if (ReferenceEquals(next, ParserState.Dead))
            {
                i = node.End;
                continue;
            }

            _path[node.Depth] = next;
            Find(trie, in node);
            i++;
        }
    }

    private void Find(TokenSet set)
    {
        if (set.Ids is { Length: <= FewIds } ids)
        {
            foreach (int id in ids)
                Find(id);
        }
        else if (!_sets.Contains(set))
        {
            _sets.Add(set);
            set.AddTo(_found);
        }
    }

    private void Find(TokenTrie trie, in TrieNode node)
    {
        for (int token = node.Token; token >= 0; token = trie.Same(token))
            Find(token);
    }

    private void Find(int token)
    {
        ref ulong word = ref _found[token >> 6];
        ulong bit = 1UL << (token & 63);
        if ((word & bit) != 0)
            return;
        word |= bit;
        _ids.Add(token);
    }

    /// <summary>The state in today's caches; also where these are emptied when they have grown too large.</summary>
    private ParserState Current(ParserState state)
    {
        if (_bytes + _stacks.Bytes + _ownBytes > _limits.CacheBytes)
            StartAfresh();
        return state.Generation == _generation || ReferenceEquals(state, ParserState.Dead)
            ? state
            : Unique(new ParserState(state.CopyReadings(), state.CanEnd, _classes.Count, _generation));
    }

    private void StartAfresh()
    {
        _generation++;
        _states.Clear();
        _afterReturn.Clear();
        _stacks.Clear();
        (_bytes, _ownBytes) = (0, 0);
        foreach ((_, TerminalTokens tokens) in _own)
            tokens.Clear();
        Array.Clear(_path);
        _start = FindStart();
    }

    private long Measure()
    {
        MeasureOwn();
        return _bytes + _stacks.Bytes + _ownBytes;
    }

    private void MeasureOwn()
    {
        _ownBytes = 0;
        foreach ((_, TerminalTokens tokens) in _own)
            _ownBytes += tokens.MemoryBytes;
    }
}
