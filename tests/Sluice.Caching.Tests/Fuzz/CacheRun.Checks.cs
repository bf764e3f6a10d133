using Sluice.Caching.Sequences;
using Sluice.Caching.Tree;

namespace Sluice.Caching.Tests.Fuzz;

/// <content>What must hold after every operation, and at every eviction.</content>
public sealed partial class CacheRun
{
    private readonly ulong[] _path = new ulong[256];
    private readonly HashSet<int> _fixedPages = [];
    private Text? _touched;
    private long _touchedAt;
    private string? _asking;
    private string? _scope;
    private double _worthLimit = double.PositiveInfinity;
    private int _tokensSeen;
    private int _checkpointsSeen;
    private int _residentSeen;
    private Action<PrefixNode>? _checkNode;

    private void CheckAll()
    {
        _cache.CheckIntegrity();
        _tokensSeen = _checkpointsSeen = _residentSeen = 0;
        _cache.Tree.VisitNodes(_checkNode ??= CheckNode);
        ViolationException.Unless(_tokensSeen == _model.Keys.Count, $"the tree knows {_tokensSeen} prefixes, {_model.Keys.Count} are known");
        if (Geometry.HasStates)
            ViolationException.Unless(_checkpointsSeen == _model.Checkpoints.Count, $"the tree has {_checkpointsSeen} checkpoints, there are {_model.Checkpoints.Count}");
        else
            ViolationException.Unless(_residentSeen == _model.Resident.Count, $"the tree has KV of {_residentSeen} prefixes, there is that of {_model.Resident.Count}");
    }

    private void CheckNode(PrefixNode node)
    {
        bool idle = _device.Idle;
        if (node.Parent!.IsRoot)
            _path[0] = Text.Seed(node.Salt.Name);
        for (int i = 0; i < node.Tokens.Length; i++)
        {
            ulong hash = Text.After(_path[node.Start + i], node.Tokens[i]);
            _path[node.Start + i + 1] = hash;
            ViolationException.Unless(_model.Keys.Contains(hash), $"the tree knows a prefix of {node.Start + i + 1} tokens that nobody gave it");
            if (!Geometry.HasStates && node.Resident)
            {
                _residentSeen++;
                ViolationException.Unless(
                    _model.Resident.ContainsKey(hash) && _model.Condemned.Contains(hash) == node.Condemned,
                    $"KV of {node.Start + i + 1} tokens, condemned {node.Condemned}: not so");
            }
        }

        _tokensSeen += node.Tokens.Length;
        if (_touched is { } text && node.Start < text.Length
            && _path[node.Start] == text.Hash[node.Start] && node.Tokens[0] == text.Tokens[node.Start])
        {
            ViolationException.Unless(node.LastTouch >= _touchedAt, $"a node on a path walked at {_touchedAt} was touched at {node.LastTouch}");
        }

        // A node's first page holds what precedes the node in that page, too: that is what makes it the path's page.
        if (node.Resident && idle && !node.Condemned)
        {
            int first = node.Start / Geometry.PageTokens;
            for (int i = first * Geometry.PageTokens; i < node.End; i++)
            {
                ViolationException.Unless(
                    _device.ReadKv(node.Pages![(i / Geometry.PageTokens) - first], i) == _path[i + 1],
                    $"node [{node.Start}, {node.End}) holds wrong KV at {i}");
            }
        }

        if (!node.HasCheckpoint || !Geometry.HasStates)
            return;
        _checkpointsSeen++;
        ulong end = _path[node.End];
        ViolationException.Unless(_model.Checkpoints.TryGetValue(end, out ModelCheckpoint? model), $"a checkpoint of {node.End} tokens that should not be");
        ViolationException.Unless(
            model!.Position == node.End && model.LastUse == node.LastUse && model.Leases == node.Leases && model.Condemned == node.Condemned,
            $"checkpoint of {node.End}: last use {node.LastUse}, leases {node.Leases}, condemned {node.Condemned}; expected {model.Position}, {model.LastUse}, {model.Leases}, {model.Condemned}");
        model.LogChance = node.LogChance;
        ViolationException.Unless(
            !idle || node.Condemned || _device.HoldsState(node.Slot, node.End, end), $"the checkpoint of {node.End} tokens holds another state");
    }

    /// <summary>A text was matched or inserted just now: every node on its path must have been touched.</summary>
    private void Walked(Text text)
    {
        _touched = text;
        _touchedAt = _cache.Tick;
    }

    private void OnEvicting(PrefixNode node)
    {
        ViolationException.Unless(node.Leases == 0, "a leased checkpoint is evicted");
        Coverage.Note("evictions");
        ulong[] path = PathOf(node);
        if (!Geometry.HasStates)
        {
            foreach ((PrefixLease lease, Text text) in _leases)
                ViolationException.Unless(lease.Position <= node.Start || text.Hash[node.Start + 1] != path[node.Start + 1], "leased KV is evicted");
            for (int i = node.Start + 1; i <= node.End; i++)
                ViolationException.Unless(_model.Resident.Remove(path[i]), "KV is evicted that never was");
            return;
        }

        ModelCheckpoint model = _model.Checkpoints[path[node.End]];
        string? scope = _scope;
        if (_asking is { } salt)
            scope = IsOver(salt) && _model.LeastWorth(salt) < double.PositiveInfinity ? salt : null;
        double worth = _model.Worth(model), least = _model.LeastWorth(scope);
        ViolationException.Unless(scope is null || string.Equals(scope, node.Salt.Name, StringComparison.Ordinal), "a salt over its share evicts another's");
        ViolationException.Unless(worth <= least + 1e-6, $"a checkpoint worth {worth} is evicted before one worth {least}");
        ViolationException.Unless(worth < _worthLimit + 1e-6, $"a checkpoint worth {worth} is evicted for one worth {_worthLimit}");
        _model.Evict(model.Hash);
    }

    private void OnForgetting(PrefixNode node)
    {
        Coverage.Note("ghosts forgotten");
        ViolationException.Unless(_cache.Tree.GhostBytes > _tree.GhostBytes, "a ghost is forgotten though there is room");
        ViolationException.Unless(!node.Resident && node.ChildCount == 0, "something other than a ghost without children is forgotten");
        _cache.Tree.VisitNodes(other => ViolationException.Unless(
            other.Resident || other.ChildCount > 0 || other.LastTouch >= node.LastTouch, "a ghost is forgotten before one touched earlier"));
        ulong[] path = PathOf(node);
        for (int i = node.Start + 1; i <= node.End; i++)
            ViolationException.Unless(_model.Keys.Remove(path[i]), "keys are forgotten that never were");
    }

    /// <summary>Hashes of all prefixes of a node, by climbing.</summary>
    private static ulong[] PathOf(PrefixNode node)
    {
        int[] tokens = new int[node.End];
        for (PrefixNode at = node; !at.IsRoot; at = at.Parent!)
            at.Tokens.CopyTo(tokens, at.Start);
        return new Text(node.Salt.Name, tokens).Hash;
    }

    private bool IsOver(string salt) =>
        _cache.Tree.Salts > 1
        && _cache.Tree.SaltBytes(salt) > _tree.Eviction.SaltShare * _cache.Memory.Superblocks * Geometry.SuperblockBytes;

    /// <summary>
    /// Whether these must be granted: they fit beside what sequences hold and leases keep, everything else being evicted and pages
    /// moved together.
    /// </summary>
    private bool Fits(int pages, int slots)
    {
        _fixedPages.Clear();
        int held = 0;
        foreach (Running running in _running)
        {
            SequenceMemory memory = running.Memory;
            for (int i = 0; i < memory.PageCount; i++)
                _fixedPages.Add(memory.PageTable[i]);
            held += 1 + memory.Exports.Length;
        }

        var leased = new HashSet<PrefixNode>();
        foreach ((PrefixLease lease, _) in _leases)
        {
            if (lease.Node is not null && leased.Add(lease.Node))
                held++;
            for (PrefixNode? node = lease.Node; node is not null; node = node.Parent)
                _fixedPages.UnionWith(node.Pages!);
        }

        long superblocks = (_fixedPages.Count + pages + Geometry.PagesPerSuperblock - 1) / Geometry.PagesPerSuperblock;
        return superblocks + ((long)(held + slots) * Geometry.SuperblocksPerSlot) <= _cache.Memory.Superblocks;
    }

    /// <summary>What is refused must not have cost anybody a checkpoint.</summary>
    private void RequireNothingInVain(bool granted, long evictionsBefore) => ViolationException.Unless(
        granted || _cache.Tree.Evictions == evictionsBefore, "checkpoints were evicted for what did not fit anyway");

    private HashSet<ulong> ResidentHashes()
    {
        var hashes = new HashSet<ulong>();
        _cache.Tree.VisitNodes(node =>
        {
            if (!node.Resident)
                return;
            ulong[] path = PathOf(node);
            for (int i = node.Start + 1; i <= node.End; i++)
                hashes.Add(path[i]);
        });
        return hashes;
    }

    private HashSet<ulong> LeasedHashes()
    {
        var hashes = new HashSet<ulong>();
        foreach ((PrefixLease lease, _) in _leases)
        {
            if (lease.Node is not null)
                hashes.UnionWith(PathOf(lease.Node));
        }

        return hashes;
    }

    /// <summary>Without states, a release may end condemned spans: only those may go, and with the last lease all of them.</summary>
    private void FollowCondemned()
    {
        HashSet<ulong> kept = ResidentHashes();
        foreach (ulong hash in _model.Condemned.ToArray())
        {
            if (kept.Contains(hash))
                continue;
            _model.Condemned.Remove(hash);
            _model.Resident.Remove(hash);
        }

        ViolationException.Unless(_leases.Count > 0 || _model.Condemned.Count == 0, "condemned KV outlives the last lease");
    }

    /// <summary>Everything is given back: all memory must be free again, as it was.</summary>
    private void Close()
    {
        while (_leases.Count > 0)
            ReleaseLease();
        while (_running.Count > 0)
            Finish(TakeRunning());
        _device.Drain();
        CheckAll();
        _asking = null;
        _scope = null;
        while (_cache.Tree.TryEvict())
            CheckAll();
        ViolationException.Unless(
            _cache.Memory.FreeSuperblocks == _cache.Memory.Superblocks && _cache.Tree.PagesHeld == 0 && _cache.Sequences == 0,
            $"{_cache.Memory.Superblocks - _cache.Memory.FreeSuperblocks} superblocks are lost");
    }
}
