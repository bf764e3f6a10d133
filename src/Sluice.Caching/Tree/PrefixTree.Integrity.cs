using Sluice.Caching.Memory;

namespace Sluice.Caching.Tree;

/// <summary>A node of the tree, for people and tests.</summary>
/// <param name="Salt">Cache salt.</param>
/// <param name="Level">Nodes above it.</param>
/// <param name="Start">Position of its first token.</param>
/// <param name="Tokens">Its tokens.</param>
/// <param name="Resident">Whether its KV is there.</param>
/// <param name="HasCheckpoint">Whether a sequence can continue from its end.</param>
/// <param name="Reason">Why the checkpoint was made, or the one that was lost here.</param>
/// <param name="Uses">Requests that continued from it.</param>
/// <param name="Leases">Requests about to continue from it.</param>
/// <param name="LastUse">Tick of the checkpoint's making or last restoration.</param>
/// <param name="LastTouch">Tick of the last match or insertion over it.</param>
public readonly record struct PrefixSpan(
    string Salt,
    int Level,
    int Start,
    ReadOnlyMemory<int> Tokens,
    bool Resident,
    bool HasCheckpoint,
    CheckpointReason Reason,
    int Uses,
    int Leases,
    long LastUse,
    long LastTouch);

/// <content>Showing and proving.</content>
public sealed partial class PrefixTree
{
    private int[] _pageCounts = [];
    private bool[] _slotSeen = [];

    /// <summary>Shows every node, parents before children.</summary>
    public void Visit(Action<PrefixSpan> show)
    {
        ArgumentNullException.ThrowIfNull(show);
        foreach (SaltTree salt in _salts.Values)
        {
            int level = 0;
            for (PrefixNode? node = salt.Root.FirstChild; node is not null; node = NextInOrder(node, ref level))
            {
                show(new PrefixSpan(
                    salt.Name, level, node.Start, node.Tokens, node.Resident, node.HasCheckpoint, node.Reason, node.Uses, node.Leases,
                    node.LastUse, node.LastTouch));
            }
        }
    }

    /// <summary>Every node, parents before children; for tests.</summary>
    internal void VisitNodes(Action<PrefixNode> show)
    {
        foreach (SaltTree salt in _salts.Values)
        {
            int level = 0;
            for (PrefixNode? node = salt.Root.FirstChild; node is not null; node = NextInOrder(node, ref level))
                show(node);
        }
    }

    /// <summary>Pages have moved: every node that held one holds its successor.</summary>
    internal void Renumber(Dictionary<int, int> moved)
    {
        foreach (SaltTree salt in _salts.Values)
        {
            int level = 0;
            for (PrefixNode? node = salt.Root.FirstChild; node is not null; node = NextInOrder(node, ref level))
                Renumber(node.Pages, moved);
        }
    }

    internal static void Renumber(Span<int> pages, Dictionary<int, int> moved)
    {
        foreach (ref int page in pages)
        {
            if (moved.TryGetValue(page, out int target))
                page = target;
        }
    }

    /// <summary>Checks every rule of the tree at every node, and its holdings against the memory's. Time in nodes and pages.</summary>
    /// <exception cref="IntegrityException">A rule is broken.</exception>
    public void CheckIntegrity()
    {
        if (_pageCounts.Length != _memory.Pages)
        {
            _pageCounts = new int[_memory.Pages];
            _slotSeen = new bool[_memory.Slots];
        }

        Array.Clear(_pageCounts);
        Array.Clear(_slotSeen);
        int nodes = 0, checkpoints = 0, leased = 0, pages = 0, slots = 0, ghosts = 0, evictable = 0, ghostLeaves = 0;
        long ghostTokens = 0;
        foreach (SaltTree salt in _salts.Values)
        {
            int saltPages = 0, saltSlots = 0, saltEvictable = 0, level = 0;
            CheckFamily(salt.Root);
            Check(salt.Root, salt.Root.ChildCount > 0, "no children, though it is a root");
            for (PrefixNode? node = salt.Root.FirstChild; node is not null; node = NextInOrder(node, ref level))
            {
                nodes++;
                CheckNode(node, salt);
                CheckFamily(node);
                if (node.HasCheckpoint)
                    checkpoints++;
                if (node.Leases > 0)
                    leased++;
                if (node.Slot != PrefixNode.NoSlot)
                {
                    Check(node, !_slotSeen[node.Slot] && _memory.IsSlotHeld(node.Slot), "a slot that is free or another node's");
                    _slotSeen[node.Slot] = true;
                    saltSlots++;
                }

                foreach (int page in node.Pages.AsSpan())
                {
                    if (_pageCounts[page]++ == 0)
                        saltPages++;
                }

                if (node.WorthIndex >= 0)
                    saltEvictable++;
                if (node.Resident)
                    continue;
                ghosts++;
                ghostTokens += node.Tokens.Length;
                if (node.GhostIndex >= 0)
                    ghostLeaves++;
            }

            IntegrityException.Require(
                saltPages == salt.Pages && saltSlots == salt.Slots && saltEvictable == salt.Evictable.Count,
                $"salt: {salt.Pages} pages, {salt.Slots} slots, {salt.Evictable.Count} candidates noted, {saltPages}, {saltSlots}, {saltEvictable} are");
            pages += saltPages;
            slots += saltSlots;
            evictable += saltEvictable;
        }

        IntegrityException.Require(
            nodes == Nodes && checkpoints == Checkpoints && pages == PagesHeld && slots == _memory.SlotsOfTree,
            $"{Nodes} nodes, {Checkpoints} checkpoints, {PagesHeld} pages, {_memory.SlotsOfTree} slots noted, {nodes}, {checkpoints}, {pages}, {slots} are");
        IntegrityException.Require(
            ghosts == Ghosts && ghostTokens == GhostTokens && GhostBytes <= _options.GhostBytes,
            $"{Ghosts} ghosts of {GhostTokens} tokens noted, {ghosts} of {ghostTokens} are; {GhostBytes} of at most {_options.GhostBytes} bytes");
        IntegrityException.Require(
            evictable == _evictable.Count && ghostLeaves == _ghosts.Count, $"{_evictable.Count} and {_ghosts.Count} in heaps, {evictable} and {ghostLeaves} in the tree");
        IntegrityException.Require(leased == Leased, $"{Leased} leased checkpoints noted, {leased} are");
        IntegrityException.Require(_children.Count == Nodes, $"{_children.Count} keys for {Nodes} nodes");
        for (int page = 0; page < _pageCounts.Length; page++)
        {
            IntegrityException.Require(
                _pageCounts[page] == _memory.TreeReferences(page),
                $"page {page}: {_pageCounts[page]} nodes hold it, {_memory.TreeReferences(page)} are noted ({_memory.PageHolders(page)})");
        }
    }

    /// <summary>Whether the last <see cref="CheckIntegrity"/> found a slot in the tree.</summary>
    internal bool HoldsSlot(int slot) => _slotSeen[slot];

    private static PrefixNode? NextInOrder(PrefixNode node, ref int level)
    {
        if (node.FirstChild is { } child)
        {
            level++;
            return child;
        }

        while (node.NextSibling is null)
        {
            if (node.Parent is not { IsRoot: false } parent)
                return null;
            level--;
            node = parent;
        }

        return node.NextSibling;
    }

    private void CheckNode(PrefixNode node, SaltTree salt)
    {
        PrefixNode parent = node.Parent!;
        Check(node, node.Salt == salt && node.Tokens.Length > 0 && node.Start == parent.End, "another salt, no tokens or a gap before it");
        Check(node, Child(parent, node.Tokens[0]) == node, "no key that finds it");
        Check(node, !node.Resident || parent.Resident, "KV below a ghost");
        Check(node, node.Resident == (node.HasCheckpoint || node.ResidentChildren > 0), "KV without a checkpoint at or below it, or the reverse");
        Check(node, node.HasCheckpoint ? node.CheckpointPosition == node.End : node.CheckpointPosition == 0, "a state of another position");
        Check(node, (node.HasCheckpoint && _geometry.HasStates) == (node.Slot != PrefixNode.NoSlot), "a checkpoint without slot, or the reverse");
        Check(node, node.Leases >= 0 && (node.Leases == 0 || node.HasCheckpoint), "leases without a checkpoint");
        Check(node, !node.Condemned || (node.Resident && (node.Leases > 0 || !node.HasCheckpoint || node.ResidentChildren > 0)), "condemned content that nobody leases");
        Check(node, node.Condemned || !parent.Condemned || !node.Resident, "sound content below condemned");
        Check(node, parent.IsRoot || parent.LastTouch >= node.LastTouch, "a touch its parent has not seen");
        Check(node, node.GhostIndex >= 0 == (!node.Resident && node.ChildCount == 0), "the wrong place among ghosts");
        Check(node, node.GhostIndex < 0 || _ghosts[node.GhostIndex] == node, "a place among ghosts that is another's");
        Check(node, parent.IsRoot || !CanMerge(parent, node), "a border that serves nothing");
        if (node.Resident)
        {
            int first = node.Start / _geometry.PageTokens;
            Check(node, node.Pages!.Length == _geometry.PagesFor(node.End) - first, "pages that do not cover it");
        }

        Check(node, node.WorthIndex >= 0 == node.SaltWorthIndex >= 0, "one heap without the other");
        if (node.WorthIndex < 0)
        {
            Check(node, !IsEvictable(node), "no place among candidates");
            return;
        }

        Check(node, node.HasCheckpoint, "a place among candidates without a checkpoint");
        Check(node, _evictable[node.WorthIndex] == node && salt.Evictable[node.SaltWorthIndex] == node, "a place among candidates that is another's");
        Check(node, !IsEvictable(node) || node.Worth <= Worth(node) + 1e-9, "a worth above the true one");
    }

    private void CheckFamily(PrefixNode node)
    {
        int children = 0, resident = 0;
        PrefixNode? previous = null;
        for (PrefixNode? child = node.FirstChild; child is not null; child = child.NextSibling)
        {
            Check(child, child.Parent == node && child.PreviousSibling == previous, "a broken chain of siblings");
            children++;
            if (child.Resident)
                resident++;
            previous = child;
        }

        Check(node, children == node.ChildCount && resident == node.ResidentChildren, "wrong counts of children");
    }

    private static void Check(PrefixNode node, bool holds, string found) =>
        IntegrityException.Require(holds, $"node {node.Id} [{node.Start}, {node.End}) has {found}");
}
