using Sluice.Caching.Memory;
using Sluice.Caching.Planning;
using Sluice.Caching.Sequences;
using Sluice.Caching.Tree;
using Sluice.Core;

namespace Sluice.Caching.Tests.Fuzz;

/// <summary>How often what happened, over a run: a property that never met a case has not tested it.</summary>
public sealed class Coverage
{
    private readonly Dictionary<string, long> _counts = new(StringComparer.Ordinal);

    public IReadOnlyDictionary<string, long> Counts => _counts;

    public void Note(string what, long times = 1)
    {
        if (times > 0)
            _counts[what] = _counts.GetValueOrDefault(what) + times;
    }

    public void Add(Coverage other)
    {
        foreach ((string what, long times) in other._counts)
            Note(what, times);
    }
}

/// <summary>
/// One seed: a cache of random geometry beside the naive model and a simulated device, random operations, and all rules checked
/// after each. Throws at the first thing wrong.
/// </summary>
public sealed partial class CacheRun
{
    private const int MostLeases = 3;
    private const int MostSequences = 5;
    private const int MostKnown = 12;

    private readonly Rng _rng;
    private readonly PrefixCache _cache;
    private readonly Model _model;
    private readonly Device _device;
    private readonly TreeOptions _tree;
    private readonly PlannerOptions _planner;
    private readonly string[] _salts;
    private readonly int _alphabet;
    private readonly int _longest;
    private readonly List<Text> _known = [];
    private readonly List<(PrefixLease Lease, Text Text)> _leases = [];
    private readonly List<Running> _running = [];

    private CacheRun(ulong seed)
    {
        _rng = new Rng(seed);
        bool stateless = _rng.Chance(0.15);
        int pagesPerSuperblock = _rng.In(1, 6);
        int layersPerSuperblock = _rng.In(1, 3);
        long superblock = 1000;
        var geometry = new MemoryGeometry(
            1, superblock / pagesPerSuperblock, stateless ? 0 : _rng.In(1, 5), superblock / layersPerSuperblock, superblock, _rng.In(1, 8));
        int slots = Math.Max(1, geometry.SuperblocksPerSlot);
        int superblocks = (slots * _rng.In(2, 12)) + _rng.In(2, 120 / (pagesPerSuperblock * geometry.PageTokens) + 4);
        _tree = new TreeOptions
        {
            Eviction = new EvictionPolicy
            {
                AttentionCost = _rng.Chance(0.5) ? 0.01 : 3.3e-5,
                HalfLife = _rng.Chance(0.5) ? 256 : 20_000,
                SaltShare = _rng.Chance(0.5) ? 1 : 0.25,
            },
            GhostBytes = _rng.Chance(0.5) ? 1 << 20 : _rng.In(0, 8) * (PrefixTree.GhostNodeBytes + 40),
            MergeTokens = _rng.Chance(0.5) ? 4096 : _rng.In(1, 16),
            StatelessSpan = _rng.In(2, 12),
        };
        _planner = new PlannerOptions { Spacing = _rng.In(8, 16), MinimumGain = _rng.In(1, 4) };
        var options = new PrefixCacheOptions
        {
            Tree = _tree,
            Planner = _planner,
            Checks = new MemoryChecks { Ledger = _rng.Chance(0.2), Poison = _rng.Chance(0.8) },
        };
        _cache = new PrefixCache(geometry, superblocks * superblock, options);
        _cache.Tree.Evicting = OnEvicting;
        _cache.Tree.Forgetting = OnForgetting;
        _model = new Model(geometry, _tree);
        _device = new Device(_cache.Memory);
        _salts = _rng.Chance(0.5) ? ["a"] : ["a", "b", ""];
        _alphabet = _rng.In(2, 4);
        _longest = Math.Min(48, (superblocks - slots) * pagesPerSuperblock * geometry.PageTokens);
    }

    /// <summary>What the run met.</summary>
    public Coverage Coverage { get; } = new();

    private MemoryGeometry Geometry => _cache.Memory.Geometry;

    /// <summary>Runs a seed; throws with the number of the operation at fault.</summary>
    public static Coverage Execute(ulong seed, int operations)
    {
        var run = new CacheRun(seed);
        int done = 0;
        try
        {
            for (; done < operations; done++)
            {
                run.Operate();
                run.CheckAll();
            }

            run.Close();
        }
        catch (Exception e)
        {
            throw new ViolationException($"seed {seed}, operation {done} of {operations}: {e.GetType().Name}: {e.Message}\n{e.StackTrace}");
        }

        return run.Coverage;
    }

    private void Operate()
    {
        _touched = null;
        switch (_rng.Below(100))
        {
            case < 12:
                Match();
                break;
            case < 17:
                ReleaseLease();
                break;
            case < 34:
                Admit();
                break;
            case < 70:
                Step();
                break;
            case < 80:
                End();
                break;
            case < 83:
                Fork();
                break;
            case < 87:
                Announce();
                break;
            case < 92:
                Evict();
                break;
            case < 94:
                Coverage.Note("compactions", _cache.Compact(_rng.In(1, 3)));
                break;
            case < 96:
                Fault();
                break;
            default:
                _device.Drain();
                break;
        }
    }

    private void Match()
    {
        if (_leases.Count == MostLeases)
            return;
        Text text = NewText();
        PrefixLease lease = MatchAndCheck(text);
        if (_rng.Chance(0.5))
            _leases.Add((lease, text));
        else
            Release(lease, text);
    }

    private PrefixLease MatchAndCheck(Text text)
    {
        int position = _model.Position(text), kv = _model.KvDepth(text), keys = _model.KeyDepth(text);
        int nodes = _cache.Tree.Nodes;
        PrefixLease lease = _cache.Match(text.Salt, text.Tokens);
        ViolationException.Unless(
            lease.Position == position && lease.KvDepth == kv && lease.KeyDepth == keys,
            $"match of {text.Length}: state {lease.Position}, KV {lease.KvDepth}, keys {lease.KeyDepth}; expected {position}, {kv}, {keys}");
        ViolationException.Unless(lease.Position < text.Length, "a match that leaves nothing to compute");
        ViolationException.Unless(_cache.Tree.Nodes == nodes, "a match that changed the tree");
        if (Geometry.HasStates && position > 0)
            _model.Checkpoints[text.Hash[position]].Leases++;
        Walked(text);
        Coverage.Note(position > 0 ? "hits" : "misses");
        Coverage.Note("hits mid-page", position % Geometry.PageTokens > 0 ? 1 : 0);
        return lease;
    }

    private void ReleaseLease()
    {
        if (_leases.Count == 0)
            return;
        int index = _rng.Below(_leases.Count);
        (PrefixLease lease, Text text) = _leases[index];
        _leases.RemoveAt(index);
        Release(lease, text);
    }

    private void Release(PrefixLease lease, Text text)
    {
        _cache.Release(lease);
        Released(lease, text);
    }

    private void Released(PrefixLease lease, Text text)
    {
        if (Geometry.HasStates && lease.Position > 0)
            _model.Release(text.Hash[lease.Position]);
        else if (!Geometry.HasStates && _model.Condemned.Count > 0)
            FollowCondemned();
    }

    private void Admit()
    {
        if (_running.Count == MostSequences)
            return;
        PrefixLease lease;
        Text text;
        if (_leases.Count > 0 && _rng.Chance(0.5))
        {
            int index = _rng.Below(_leases.Count);
            (lease, text) = _leases[index];
            _leases.RemoveAt(index);
        }
        else
        {
            text = NewText();
            lease = MatchAndCheck(text);
        }

        int tokens = _rng.In(lease.Position + 1, text.Length);
        int fresh = Geometry.PagesFor(tokens) - (lease.Position / Geometry.PageTokens);
        bool valid = PrefixTree.IsValid(lease);
        _leases.Add((lease, text));
        bool must = valid && Fits(fresh, 1);
        _asking = text.Salt;
        long evictions = _cache.Tree.Evictions;
        bool admitted = _cache.TryAdmit(lease, tokens, out SequenceMemory? memory);
        RequireNothingInVain(admitted, evictions);
        _leases.RemoveAt(_leases.Count - 1);
        ViolationException.Unless(admitted || !must, $"{fresh} pages and a slot fit, and were refused");
        ViolationException.Unless(!admitted || valid, "a condemned lease was admitted");
        if (!admitted)
        {
            Coverage.Note(valid ? "refused admissions" : "invalid leases");
            Release(lease, text);
            return;
        }

        if (Geometry.HasStates && lease.Position > 0)
            _model.Checkpoints[text.Hash[lease.Position]].LastUse = _cache.Tick;
        Released(lease, text);
        ViolationException.Unless(memory!.Computed == lease.Position, $"restored {memory.Computed}, matched {lease.Position}");
        var running = new Running(memory, text);
        _running.Add(running);
        if (_rng.Chance(0.5))
            Plan(running, lease);
    }

    private void Plan(Running running, PrefixLease lease)
    {
        int length = running.Text.Length;
        int user = _rng.Below(length + 1);
        var layout = new PromptLayout(length)
        {
            TurnStarts = [_rng.Below(user + 1), user, _rng.In(user, length)],
            LastUserTurn = user,
            GenerationPrefix = _rng.In(user, length),
            Breakpoints = [_rng.Below(length + 1)],
        };
        _cache.Plan(running.Memory, lease, layout, running.Plan);
        int previous = running.Memory.Computed;
        foreach (PlannedCheckpoint planned in running.Plan)
        {
            ViolationException.Unless(
                planned.Position >= previous + _planner.MinimumGain && planned.Position < length,
                $"a plan of {planned.Position} after {previous} in {length}, with a gain of at least {_planner.MinimumGain}");
            previous = planned.Position;
        }

        Coverage.Note("planned", running.Plan.Count);
    }

    private void Fork()
    {
        if (_running.Count == 0 || _running.Count == MostSequences)
            return;
        Running parent = _running[_rng.Below(_running.Count)];
        SequenceMemory memory = parent.Memory;
        int fresh = Geometry.PagesFor(memory.Computed + 1) - (memory.Computed / Geometry.PageTokens);
        bool must = Fits(fresh, 1);
        _asking = parent.Text.Salt;
        long evictions = _cache.Tree.Evictions;
        bool forked = _cache.TryFork(memory, out SequenceMemory? fork);
        RequireNothingInVain(forked, evictions);
        ViolationException.Unless(forked || !must, $"{fresh} pages and a slot fit, and were refused to a fork");
        if (!forked)
            return;
        int[] tokens = [.. parent.Text.Tokens[..memory.Computed], .. RandomTokens(_rng.In(1, 8))];
        var child = new Running(fork!, new Text(parent.Text.Salt, tokens));
        child.Published.UnionWith(parent.Published);
        foreach (StateCheckpoint pending in memory.Exports)
            child.Published.Remove(pending.Position);
        _running.Add(child);
        Coverage.Note("forks");
    }

    private void Announce()
    {
        Text text = NewText();
        _model.AddKeys(text, text.Length);
        _cache.Announce(text.Salt, text.Tokens);
        Walked(text);
    }

    private void Evict()
    {
        string? within = _rng.Chance(0.5) ? null : _salts[_rng.Below(_salts.Length)];
        _asking = null;
        _scope = within;
        int before = _cache.Tree.Checkpoints;
        bool candidates = !Geometry.HasStates || _model.LeastWorth(within) < double.PositiveInfinity;
        bool evicted = _cache.Tree.TryEvict(within);
        ViolationException.Unless(evicted == (_cache.Tree.Checkpoints < before), "an eviction that freed nothing, or the reverse");
        ViolationException.Unless(!Geometry.HasStates || evicted == candidates, "candidates, and no eviction, or the reverse");
    }

    private Text NewText()
    {
        string salt = _salts[_rng.Below(_salts.Length)];
        int[] head = [];
        if (_known.Count > 0 && _rng.Chance(0.85))
        {
            Text known = _known[_rng.Below(_known.Count)];
            head = known.Tokens[.._rng.In(0, known.Length)];
            if (_rng.Chance(0.4))
                head = known.Tokens;
        }

        int[] tokens = [.. head, .. RandomTokens(_rng.In(head.Length == 0 ? 1 : 0, 12))];
        if (tokens.Length > _longest)
            tokens = tokens[.._longest];
        var text = new Text(salt, tokens);
        if (_rng.Chance(0.3))
            Remember(text);
        return text;
    }

    private void Remember(Text text)
    {
        if (_known.Count < MostKnown)
            _known.Add(text);
        else
            _known[_rng.Below(MostKnown)] = text;
    }

    private int[] RandomTokens(int count)
    {
        int[] tokens = new int[count];
        for (int i = 0; i < count; i++)
            tokens[i] = _rng.Below(_alphabet);
        return tokens;
    }

    /// <summary>A sequence, the text it will have computed in the end, and where it was told to export.</summary>
    private sealed class Running(SequenceMemory memory, Text text)
    {
        public SequenceMemory Memory { get; } = memory;

        public Text Text { get; } = text;

        public List<PlannedCheckpoint> Plan { get; } = [];

        /// <summary>Positions it exported.</summary>
        public HashSet<int> Published { get; } = [];
    }
}
