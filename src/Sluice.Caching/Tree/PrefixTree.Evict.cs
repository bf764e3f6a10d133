using Sluice.Caching.Memory;

namespace Sluice.Caching.Tree;

/// <content>Eviction: checkpoints by worth, with the KV nobody can use without them; ghosts by last touch.</content>
public sealed partial class PrefixTree
{
    // Every checkpoint that may be evicted is in both its heaps. A leased one may be too: it is taken out when it comes up, and
    // offered again when its last lease goes. A node's Worth is never above its true worth: what lowers it is noted at once
    // (RevalueBelow, DropUselessKv), what raises it (a hit, an ancestor gone, a child gained) when it comes up.
    private readonly NodeHeap<NodeHeap.ByWorth> _evictable = new();
    private readonly NodeHeap<NodeHeap.ByTouch> _ghosts = new();
    private readonly ReuseStatistics _reuse = new();

    /// <summary>Checkpoints evicted so far.</summary>
    public long Evictions { get; private set; }

    /// <summary>Tokens of ghosts removed to keep their cap.</summary>
    public long TokensForgotten { get; private set; }

    /// <summary>Called before a checkpoint is evicted.</summary>
    internal Action<PrefixNode>? Evicting { get; set; }

    /// <summary>Called before a ghost is removed.</summary>
    internal Action<PrefixNode>? Forgetting { get; set; }

    /// <summary>Memory a salt's tree holds, bytes.</summary>
    public long SaltBytes(string salt) =>
        _salts.TryGetValue(salt, out SaltTree? tree) ? (tree.Pages * _geometry.PageBytes) + (tree.Slots * _geometry.SlotBytes) : 0;

    /// <summary>
    /// Evicts the checkpoint worth least, of one salt or of all, if it is worth less than <paramref name="below"/>. Its KV goes as
    /// far up as no other checkpoint needs it; the keys stay as ghosts.
    /// </summary>
    /// <returns>False when there is none.</returns>
    public bool TryEvict(string? within = null, double below = double.PositiveInfinity)
    {
        SaltTree? salt = null;
        if (within is not null && !_salts.TryGetValue(within, out salt))
            return false;
        PrefixNode? victim = salt is null ? LeastWorth(_evictable) : LeastWorth(salt.Evictable);
        if (victim is null || victim.Worth >= below)
            return false;
        Evicting?.Invoke(victim);
        Evictions++;
        victim.LostCheckpoint = true;
        _reuse.Evicted(victim.Reason, victim.Uses);
        RemoveCheckpoint(victim);
        TrimGhosts();
        RemoveIfEmpty(victim.Salt);
        return true;
    }

    /// <summary>The worth of a new checkpoint at <paramref name="position"/>, the one before it being at <paramref name="previous"/>.</summary>
    public double WorthOf(CheckpointReason reason, int previous, int position, long tick) => _options.Eviction.Worth(
        LogChance(reason), _options.Eviction.Cost(previous, position), BytesOf(position - previous, true), tick);

    /// <summary>Base-2 logarithm of the chance that a new checkpoint is ever used.</summary>
    internal double LogChance(CheckpointReason reason) => _reuse.LogChance(reason, 0);

    /// <summary>The first evictable node of a heap, with its place made good.</summary>
    private PrefixNode? LeastWorth<TOrder>(NodeHeap<TOrder> heap)
        where TOrder : struct, NodeHeap.IOrder
    {
        while (heap.Count > 0)
        {
            PrefixNode node = heap.Min;
            if (!IsEvictable(node))
            {
                TakeOut(node);
                continue;
            }

            double worth = Worth(node);
            if (worth <= node.Worth)
                return node;
            SetWorth(node, worth);
        }

        return null;
    }

    private bool IsEvictable(PrefixNode node) =>
        node is { HasCheckpoint: true, Leases: 0 } && (_geometry.HasStates || node.ResidentChildren == 0);

    private double Worth(PrefixNode node)
    {
        PrefixNode ancestor = node.Parent!;
        while (!ancestor.HasCheckpoint && !ancestor.IsRoot)
            ancestor = ancestor.Parent!;
        double cost = _options.Eviction.Cost(ancestor.End, node.End);
        return _options.Eviction.Worth(node.LogChance, cost, BytesOf(node.End - ancestor.End, node.ResidentChildren == 0), node.LastUse);
    }

    /// <summary>
    /// Bytes that go with a checkpoint: its slot and, when nothing below needs it, the KV since the checkpoint before it. (KV that a
    /// sibling needs stays; counting it here keeps the worth of a node independent of its siblings.)
    /// </summary>
    private double BytesOf(int tokens, bool last) =>
        _geometry.SlotBytes + (last ? (double)tokens / _geometry.PageTokens * _geometry.PageBytes : 0);

    private void Revalue(PrefixNode node) => SetWorth(node, Worth(node));

    private void SetWorth(PrefixNode node, double worth)
    {
        node.Worth = worth;
        if (node.WorthIndex >= 0)
            _evictable.Restore(node);
        if (node.SaltWorthIndex >= 0)
            node.Salt.Evictable.Restore(node);
    }

    /// <summary>Puts a checkpoint into its heaps if it may be evicted and is in none.</summary>
    private void Offer(PrefixNode node)
    {
        if (node.WorthIndex >= 0 || !IsEvictable(node))
            return;
        node.Worth = Worth(node);
        _evictable.Push(node);
        node.Salt.Evictable.Push(node);
    }

    private void TakeOut(PrefixNode node)
    {
        if (node.WorthIndex < 0)
            return;
        _evictable.Remove(node);
        node.Salt.Evictable.Remove(node);
    }

    private void RemoveCheckpoint(PrefixNode node)
    {
        TakeOut(node);
        if (node.Slot != PrefixNode.NoSlot)
        {
            _memory.DropSlot(node.Slot, Holder.Node(node.Id));
            node.Salt.Slots--;
        }

        node.HasCheckpoint = false;
        node.Slot = PrefixNode.NoSlot;
        node.CheckpointPosition = 0;
        Checkpoints--;
        DropUselessKv(node);
    }

    /// <summary>Drops KV from a node up, as far as no checkpoint is at or below it.</summary>
    private void DropUselessKv(PrefixNode lowest)
    {
        PrefixNode node = lowest;
        while (node is { IsRoot: false, Resident: true, HasCheckpoint: false, ResidentChildren: 0 })
        {
            foreach (int page in node.Pages!)
                LetPageGo(page, node);
            node.Pages = null;
            node.Condemned = false;
            JoinGhosts(node);
            node = node.Parent!;
            node.ResidentChildren--;
        }

        if (node is { HasCheckpoint: true, ResidentChildren: 0 })
        {
            // It is the last on its path now: its KV goes with it, so it is worth less for each byte; without states, it may go now.
            Revalue(node);
            Offer(node);
        }

        Compress(lowest, node.Start);
    }

    /// <summary>Removes the checkpoints of a subtree, from the leaves up; what leases keep is condemned.</summary>
    private void Condemn(PrefixNode top)
    {
        _pending.Clear();
        _pending.Add(top);
        for (int i = 0; i < _pending.Count; i++)
        {
            for (PrefixNode? child = _pending[i].FirstChild; child is not null; child = child.NextSibling)
            {
                if (child.Resident)
                    _pending.Add(child);
            }
        }

        foreach (PrefixNode node in _pending)
            node.Condemned = node.Resident;

        // Merging makes the upper of two nodes part of the lower, and only when it has no checkpoint: none is visited that is gone.
        for (int i = _pending.Count - 1; i >= 0; i--)
        {
            if (IsEvictable(_pending[i]))
                RemoveCheckpoint(_pending[i]);
        }

        for (int i = _pending.Count - 1; i >= 0; i--)
        {
            if (_pending[i].Id != PrefixNode.Gone)
                _ = MergeDown(_pending[i]);
        }

        _pending.Clear();
    }

    /// <summary>A node without KV is counted as a ghost and, when it has no children, may be removed.</summary>
    private void JoinGhosts(PrefixNode node)
    {
        Ghosts++;
        GhostTokens += node.Tokens.Length;
        if (node.ChildCount == 0)
            _ghosts.Push(node);
    }

    private void LeaveGhosts(PrefixNode node)
    {
        Ghosts--;
        GhostTokens -= node.Tokens.Length;
        if (node.GhostIndex >= 0)
            _ghosts.Remove(node);
    }

    private void TrimGhosts()
    {
        // Below a ghost there are only ghosts, so while there are ghosts one of them has no children.
        while (GhostBytes > _options.GhostBytes)
        {
            PrefixNode leaf = _ghosts.Min;
            Forgetting?.Invoke(leaf);
            TokensForgotten += leaf.Tokens.Length;
            RemoveGhostLeaf(leaf);
        }
    }
}
