using Sluice.Caching.Memory;

namespace Sluice.Caching.Tree;

/// <content>The shape of the tree: making, splitting, merging and removing nodes; what each does to pages.</content>
public sealed partial class PrefixTree
{
    private PrefixNode AddLeaf(PrefixNode parent, ReadOnlySpan<int> tokens)
    {
        PrefixNode leaf = PrefixNode.Child(parent, TakeId(), tokens.ToArray());
        Link(parent, leaf);
        if (parent.GhostIndex >= 0)
            _ghosts.Remove(parent);
        JoinGhosts(leaf);
        Nodes++;
        return leaf;
    }

    /// <summary>
    /// Makes a node of the first <paramref name="count"/> tokens, above the rest. The lower part stays the same object: leases, the
    /// checkpoint at its end, and its children are its own; only without a checkpoint may it now fit into its child. A page that the
    /// cut runs through is held by both.
    /// </summary>
    private PrefixNode Split(PrefixNode lower, int count)
    {
        PrefixNode parent = lower.Parent!;
        PrefixNode upper = PrefixNode.Child(parent, TakeId(), lower.Tokens[..count]);
        Unlink(lower);
        Link(parent, upper);
        lower.CutHead(count);
        lower.Parent = upper;
        Link(upper, lower);
        upper.Condemned = lower.Condemned;
        upper.LastTouch = lower.LastTouch;
        upper.LastUse = lower.LastUse;
        Nodes++;
        if (lower.Pages is not { } pages)
        {
            Ghosts++;
            MergeDown(lower);
            return upper;
        }

        upper.ResidentChildren = 1;
        int first = upper.Start / _geometry.PageTokens;
        upper.Pages = pages[..(_geometry.PagesFor(upper.End) - first)];
        lower.Pages = pages[((lower.Start / _geometry.PageTokens) - first)..];
        for (int i = 0; i < upper.Pages.Length; i++)
        {
            if (i < pages.Length - lower.Pages.Length)
                _memory.PassPage(pages[i], Holder.Node(lower.Id), Holder.Node(upper.Id));
            else
                HoldPage(pages[i], upper);
        }

        if (!_geometry.HasStates)
        {
            // Every span with KV can be continued; the upper one cannot go before the lower, so it is offered to no heap yet.
            upper.HasCheckpoint = true;
            upper.CheckpointPosition = upper.End;
            upper.Reason = lower.Reason;
            upper.Uses = lower.Uses;
            upper.LogChance = lower.LogChance;
            Checkpoints++;
            Revalue(lower);
        }

        MergeDown(lower);
        return upper;
    }

    /// <summary>
    /// Merges nodes with their parents where a border serves no purpose any more, from <paramref name="node"/> up to the first node
    /// that ends before <paramref name="floor"/>.
    /// </summary>
    private void Compress(PrefixNode node, int floor)
    {
        node = MergeDown(node);
        while (node.Parent is { IsRoot: false } parent && node.Start >= floor)
        {
            if (CanMerge(parent, node))
                Merge(parent, node);
            else
                node = parent;
        }
    }

    /// <summary>Merges a node with its only child if it may; returns the one that is left.</summary>
    private PrefixNode MergeDown(PrefixNode node)
    {
        if (node.IsRoot || node.ChildCount != 1 || !CanMerge(node, node.FirstChild!))
            return node;
        PrefixNode child = node.FirstChild!;
        Merge(node, child);
        return child;
    }

    private bool CanMerge(PrefixNode upper, PrefixNode lower) =>
        upper.ChildCount == 1
        && !upper.HasCheckpoint
        && upper.Resident == lower.Resident
        && upper.Condemned == lower.Condemned
        && upper.Tokens.Length + lower.Tokens.Length <= _options.MergeTokens;

    /// <summary>The lower node takes over the upper. Where both have a page of their own at the border, the lower's holds all of it.</summary>
    private void Merge(PrefixNode upper, PrefixNode lower)
    {
        PrefixNode parent = upper.Parent!;
        Unlink(lower);
        Unlink(upper);
        if (upper.Pages is { } head)
        {
            int[] tail = lower.Pages!;
            int kept = (lower.Start / _geometry.PageTokens) - (upper.Start / _geometry.PageTokens);
            int[] pages = new int[kept + tail.Length];
            for (int i = 0; i < head.Length; i++)
            {
                if (i >= kept)
                {
                    LetPageGo(head[i], upper);
                    continue;
                }

                pages[i] = head[i];
                _memory.PassPage(head[i], Holder.Node(upper.Id), Holder.Node(lower.Id));
            }

            tail.CopyTo(pages, kept);
            lower.Pages = pages;
        }
        else
        {
            Ghosts--;
        }

        lower.Prepend(upper);
        lower.Parent = parent;
        lower.LastTouch = Math.Max(lower.LastTouch, upper.LastTouch);
        if (upper.LostCheckpoint && !lower.LostCheckpoint && !lower.HasCheckpoint)
            (lower.LostCheckpoint, lower.Reason, lower.Uses) = (true, upper.Reason, upper.Uses);
        Link(parent, lower);
        if (lower.GhostIndex >= 0)
            _ghosts.Restore(lower);
        Discard(upper);
    }

    private void RemoveGhostLeaf(PrefixNode leaf)
    {
        PrefixNode parent = leaf.Parent!;
        LeaveGhosts(leaf);
        Unlink(leaf);
        Discard(leaf);
        if (parent.IsRoot)
            RemoveIfEmpty(parent.Salt);
        else if (parent.ChildCount == 0 && !parent.Resident)
            _ghosts.Push(parent);
        else if (parent.ChildCount == 1)
            Compress(parent, parent.Start);
    }

    private void Discard(PrefixNode node)
    {
        _freeIds.Push(node.Id);
        node.Id = PrefixNode.Gone;
        Nodes--;
    }

    private int TakeId() => _freeIds.TryPop(out int id) ? id : _nextId++;

    private void Link(PrefixNode parent, PrefixNode child)
    {
        _children.Add(ChildKey(parent, child.Tokens[0]), child);
        child.PreviousSibling = null;
        child.NextSibling = parent.FirstChild;
        if (parent.FirstChild is { } first)
            first.PreviousSibling = child;
        parent.FirstChild = child;
        parent.ChildCount++;
    }

    /// <summary>Takes a child out of its parent; counts of resident children are the caller's.</summary>
    private void Unlink(PrefixNode child)
    {
        PrefixNode parent = child.Parent!;
        _children.Remove(ChildKey(parent, child.Tokens[0]));
        if (child.PreviousSibling is { } previous)
            previous.NextSibling = child.NextSibling;
        else
            parent.FirstChild = child.NextSibling;
        if (child.NextSibling is { } next)
            next.PreviousSibling = child.PreviousSibling;
        parent.ChildCount--;
    }

    /// <summary>A salt nobody uses leaves nothing behind: salts are the clients' to invent.</summary>
    private void RemoveIfEmpty(SaltTree salt)
    {
        if (salt.Root.ChildCount == 0 && _salts.Remove(salt.Name))
            _freeIds.Push(salt.Root.Id);
    }
}
