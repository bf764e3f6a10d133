using Sluice.Caching.Memory;

namespace Sluice.Caching.Tree;

/// <summary>A recurrent state and the number of tokens it has absorbed.</summary>
/// <param name="Position">Tokens absorbed.</param>
/// <param name="Slot">Where it is.</param>
/// <param name="Reason">Why it was made.</param>
public readonly record struct StateCheckpoint(int Position, int Slot, CheckpointReason Reason);

/// <summary>What became of an insertion.</summary>
/// <param name="Attached">Checkpoints the tree took.</param>
/// <param name="Refused">Checkpoints it had already, or whose path is condemned; their slots were freed.</param>
/// <param name="Adopted">Tokens whose KV the tree took: new ones, and ghosts revived.</param>
public readonly record struct InsertOutcome(int Attached, int Refused, int Adopted);

/// <content>Insertion.</content>
public sealed partial class PrefixTree
{
    private readonly List<PrefixNode> _pending = [];

    /// <summary>Makes a prompt's keys known, as ghosts where they are new, so that others see where they branch.</summary>
    public void InsertKeys(string salt, ReadOnlySpan<int> tokens, long tick) =>
        Insert(salt, tokens, [], [], default, tick);

    /// <summary>
    /// Gives the tree what a sequence has computed. Spans it has already are left as they are; KV is taken, by reference, for new
    /// spans and for ghosts, as far as the last checkpoint (without states: to the end); the keys beyond stay as a ghost.
    /// </summary>
    /// <param name="salt">The request's cache salt.</param>
    /// <param name="tokens">All tokens from position 0.</param>
    /// <param name="pages">Page of each 16 positions; the whole path's KV, as far as it is to be taken; empty for keys alone.</param>
    /// <param name="checkpoints">States, ascending; their slots, held by <paramref name="owner"/>, pass to the tree or are freed.</param>
    /// <param name="owner">Who holds the slots.</param>
    /// <param name="tick">Now.</param>
    /// <exception cref="IntegrityException">A checkpoint is out of order or beyond the tokens, or the pages fall short.</exception>
    public InsertOutcome Insert(
        string salt, ReadOnlySpan<int> tokens, ReadOnlySpan<int> pages, ReadOnlySpan<StateCheckpoint> checkpoints, Holder owner, long tick)
    {
        ArgumentNullException.ThrowIfNull(salt);
        int residentTo = ResidentTo(tokens.Length, pages.Length, checkpoints);
        if (tokens.IsEmpty)
            return default;
        if (!_salts.TryGetValue(salt, out SaltTree? tree))
            _salts.Add(salt, tree = new SaltTree(salt, TakeId()));

        int attached = 0, refused = 0, adopted = 0;
        bool sound = true;
        PrefixNode node = tree.Root;
        while (node.End < tokens.Length)
        {
            int depth = node.End;
            int next = attached + refused;
            int cut = next < checkpoints.Length ? checkpoints[next].Position : tokens.Length;
            if (!_geometry.HasStates)
                cut = Math.Min(cut, ((depth / _options.StatelessSpan) + 1) * _options.StatelessSpan);
            if (next == checkpoints.Length && EndsInside(node, tokens, residentTo) is { } inside)
            {
                Touch(inside, tick);
                node = inside;
                break;
            }

            node = Step(node, tokens[depth..cut]);
            Touch(node, tick);
            sound &= !node.Condemned;
            if (sound && !node.Resident && node.End <= residentTo)
            {
                Adopt(node, pages, tick);
                adopted += node.Tokens.Length;
            }

            if (next >= checkpoints.Length || node.End != checkpoints[next].Position)
                continue;
            if (sound && !node.HasCheckpoint)
            {
                Attach(node, checkpoints[next], owner, tick);
                attached++;
            }
            else
            {
                _memory.DropSlot(checkpoints[next].Slot, owner);
                refused++;
            }
        }

        Compress(node, 0);
        TrimGhosts();
        RemoveIfEmpty(tree);
        return new InsertOutcome(attached, refused, adopted);
    }

    /// <summary>
    /// Takes back what a failed sequence may have put here: everything that shares more than the first <paramref name="from"/> of
    /// <paramref name="tokens"/> loses its checkpoints and KV, also what others added, since their paths may run over the same KV. What is leased matches nothing from now on, and goes with the last lease.
    /// </summary>
    public void Forget(string salt, ReadOnlySpan<int> tokens, int from)
    {
        ArgumentNullException.ThrowIfNull(salt);
        if (!_salts.TryGetValue(salt, out SaltTree? tree))
            return;
        PrefixNode node = tree.Root;
        while (node.End <= from)
        {
            if (node.End >= tokens.Length || Child(node, tokens[node.End]) is not { } child)
                return;
            if (tokens[child.Start..].CommonPrefixLength(child.Tokens) < Math.Min(child.Tokens.Length, from + 1 - child.Start))
                return;
            node = child;
        }

        if (!node.Resident)
            return;
        PrefixNode above = node.Parent!;
        if (node.Start < from)
        {
            above = Split(node, from - node.Start);
            node = above.FirstChild!;
        }

        Condemn(node);
        if (above is { IsRoot: false } && above.Id != PrefixNode.Gone)
            Compress(above, above.Start);
        TrimGhosts();
        RemoveIfEmpty(tree);
    }

    private int ResidentTo(int tokens, int pages, ReadOnlySpan<StateCheckpoint> checkpoints)
    {
        int previous = 0;
        foreach (StateCheckpoint checkpoint in checkpoints)
        {
            IntegrityException.Require(
                checkpoint.Position > previous && checkpoint.Position <= tokens,
                $"checkpoints must ascend within {tokens} tokens, found {checkpoint.Position} after {previous}");
            previous = checkpoint.Position;
        }

        IntegrityException.Require(_geometry.HasStates || checkpoints.IsEmpty, $"a model without states has no checkpoints");
        int residentTo = _geometry.HasStates || pages == 0 ? previous : tokens;
        IntegrityException.Require(
            pages >= _geometry.PagesFor(residentTo), $"{residentTo} tokens need {_geometry.PagesFor(residentTo)} pages, found {pages}");
        return residentTo;
    }

    /// <summary>The child inside whose span the tokens end, when it need not be split for them: they bring nothing new.</summary>
    private PrefixNode? EndsInside(PrefixNode node, ReadOnlySpan<int> tokens, int residentTo)
    {
        ReadOnlySpan<int> rest = tokens[node.End..];
        return Child(node, rest[0]) is { } child
            && rest.Length < child.Tokens.Length
            && (child.Resident || tokens.Length > residentTo)
            && child.Tokens.AsSpan().StartsWith(rest)
                ? child
                : null;
    }

    /// <summary>
    /// The child of <paramref name="node"/> along <paramref name="tokens"/>, made or split so that it ends with them or where they
    /// leave what is known.
    /// </summary>
    private PrefixNode Step(PrefixNode node, ReadOnlySpan<int> tokens)
    {
        if (Child(node, tokens[0]) is not { } child)
            return AddLeaf(node, tokens);
        int common = tokens.CommonPrefixLength(child.Tokens);
        return common < child.Tokens.Length ? Split(child, common) : child;
    }

    /// <summary>The tree takes its own references to the KV of a ghost's span.</summary>
    private void Adopt(PrefixNode node, ReadOnlySpan<int> table, long tick)
    {
        int first = node.Start / _geometry.PageTokens;
        int[] pages = table[first.._geometry.PagesFor(node.End)].ToArray();
        foreach (int page in pages)
            HoldPage(page, node);
        LeaveGhosts(node);
        node.Pages = pages;
        node.Parent!.ResidentChildren++;
        if (!_geometry.HasStates)
            Attach(node, new StateCheckpoint(node.End, PrefixNode.NoSlot, CheckpointReason.Interior), default, tick);
    }

    private void Attach(PrefixNode node, StateCheckpoint checkpoint, Holder owner, long tick)
    {
        IntegrityException.Require(
            checkpoint.Position == node.End, $"a state of {checkpoint.Position} tokens cannot be filed under {node.End}");
        if (checkpoint.Slot != PrefixNode.NoSlot)
        {
            _memory.PassSlot(checkpoint.Slot, owner, Holder.Node(node.Id));
            node.Salt.Slots++;
        }

        node.HasCheckpoint = true;
        node.Slot = checkpoint.Slot;
        node.CheckpointPosition = checkpoint.Position;
        node.LastUse = tick;
        node.Reason = checkpoint.Reason;
        node.Uses = 0;
        node.LogChance = LogChance(checkpoint.Reason);
        node.LostCheckpoint = false;
        Checkpoints++;
        Offer(node);
        RevalueBelow(node);
    }

    /// <summary>Checkpoints below a new one save less than before. Time in the resident branches down to the next checkpoints.</summary>
    private void RevalueBelow(PrefixNode node)
    {
        if (node.ResidentChildren == 0)
            return;
        _pending.Clear();
        _pending.Add(node);
        while (_pending.Count > 0)
        {
            PrefixNode top = _pending[^1];
            _pending.RemoveAt(_pending.Count - 1);
            for (PrefixNode? child = top.FirstChild; child is not null; child = child.NextSibling)
            {
                if (child.HasCheckpoint)
                    Revalue(child);
                else if (child.Resident)
                    _pending.Add(child);
            }
        }
    }

    private void HoldPage(int page, PrefixNode node)
    {
        _memory.SharePage(page, Holder.Node(node.Id));
        if (_memory.TreeReferences(page) > 1)
            return;
        PagesHeld++;
        node.Salt.Pages++;
    }

    private void LetPageGo(int page, PrefixNode node)
    {
        bool last = _memory.TreeReferences(page) == 1;
        _ = _memory.DropPage(page, Holder.Node(node.Id));
        if (!last)
            return;
        PagesHeld--;
        node.Salt.Pages--;
    }
}
