namespace Sluice.Caching.Tests.Mutation;

/// <summary>The planted bugs: those other engines shipped, and those this design invites.</summary>
internal static class Mutants
{
    private const string Memory = "Memory/HybridMemory";
    private const string Superblocks = "Memory/HybridMemory.Superblocks";
    private const string Tree = "Tree/PrefixTree";
    private const string Insert = "Tree/PrefixTree.Insert";
    private const string Shape = "Tree/PrefixTree.Shape";
    private const string Evict = "Tree/PrefixTree.Evict";
    private const string Policy = "Tree/EvictionPolicy";
    private const string Heap = "Tree/NodeHeap";
    private const string Planner = "Planning/CheckpointPlanner";
    private const string Cache = "Sequences/PrefixCache";
    private const string Room = "Sequences/PrefixCache.Room";

    public static Mutant[] All { get; } =
    [
        // Leaks and double frees.
        new("the live slot of a released sequence leaks", new Edit(Cache, "            Memory.DropSlot(sequence.LiveSlot, sequence.Holder);", "            _ = 0;")),
        new("the last page of a released sequence leaks", new Edit(Cache, "foreach (int page in sequence.Pages)", "foreach (int page in sequence.Pages[..^1])")),
        new("unwritten exports leak their slots", new Edit(Cache, "        foreach (StateCheckpoint export in sequence.Exports[from..])\n            Memory.DropSlot(export.Slot, sequence.Holder);", "")),
        new("a duplicate checkpoint leaks its slot", new Edit(Insert, "                _memory.DropSlot(checkpoints[next].Slot, owner);", "")),
        new("an evicted checkpoint leaks its slot", new Edit(Evict, "            _memory.DropSlot(node.Slot, Holder.Node(node.Id));", "")),
        new("a ghost's pages are released twice", new Edit(Evict, "                LetPageGo(page, node);", "            {\n                LetPageGo(page, node);\n                LetPageGo(page, node);\n            }")),
        new("a ghost keeps its pages", new Edit(Evict, "                LetPageGo(page, node);", "                _ = page;")),
        new("merging keeps the upper node's page at the border", new Edit(Shape, "                    LetPageGo(head[i], upper);\n                    continue;", "                    continue;")),
        new("splitting does not share the page at the border", new Edit(Shape, "                HoldPage(pages[i], upper);", "                _ = pages[i];")),
        new("a donated slot stays the sequence's", new Edit(Insert, "            _memory.PassSlot(checkpoint.Slot, owner, Holder.Node(node.Id));", "            _ = owner;")),
        new("a superblock is free while one page is held", new Edit(Superblocks, "        if (_freePages[superblock] < Geometry.PagesPerSuperblock)\n        {\n            Link", "        if (_freePages[superblock] < Geometry.PagesPerSuperblock - 1)\n        {\n            Link")),
        new("a slot returns all superblocks but one", new Edit(Memory, "        foreach (int superblock in SlotSuperblocks(slot))", "        foreach (int superblock in SlotSuperblocks(slot)[1..])")),
        new("the device is not told where a slot is", new Edit(Memory, "        Work.MapSlot(slot, superblocks);", "        if (slot > 0)\n            Work.MapSlot(slot, superblocks);")),

        // Wrong positions and stale content.
        new("a state is filed under one token less", new Edit(Cache, "new StateCheckpoint(sequence.Computed, sequence.LiveSlot,", "new StateCheckpoint(Math.Max(last + 1, sequence.Computed - 1), sequence.LiveSlot,")),
        new("a state is published before its step has run", new Edit(Cache, "exports[written].Position <= sequence.Computed)", "exports[written].Position <= sequence.Computed + 1)")),
        new("a match leaves nothing to compute", new Edit(Tree, "int limit = tokens.Length - 1;", "int limit = tokens.Length;")),
        new("a match takes a state beyond where the keys agree", new Edit(Tree, "? node.End == matchedTo && node.End <= limit", "? node.End <= limit")),
        new("a match splits", new Edit(Tree, "            if (common < child.Tokens.Length)\n                break;\n            node = child;\n        }\n\n        MissReason", "            if (common < child.Tokens.Length)\n            {\n                Split(child, common);\n                break;\n            }\n\n            node = child;\n        }\n\n        MissReason")),
        new("a match crosses salts", new Edit(Tree, "        if (!_salts.TryGetValue(salt, out SaltTree? tree))\n            return new", "        if (!_salts.TryGetValue(_salts.ContainsKey(\"a\") ? \"a\" : salt, out SaltTree? tree))\n            return new")),
        new("the state is not restored", new Edit(Cache, "                Memory.Work.CopySlot(lease.Slot, admitted.LiveSlot);", "                _ = lease.Slot;")),
        new("a fork's state is not copied", new Edit(Cache, "                Memory.Work.CopySlot(sequence.LiveSlot, fork.LiveSlot);", "                _ = fork.LiveSlot;")),
        new("a partial page is shared without a copy", new Edit(Cache, "        int shared = position / Geometry.PageTokens;", "        int shared = Math.Min(Geometry.PagesFor(position), Geometry.PagesFor(Math.Max(tokens, position + 1)) - 0);")),
        new("a partial page is not copied", new Edit(Cache, "            Memory.Work.CopyPage(found[shared], admitted.PageTable[shared]);", "            _ = found[shared];")),
        new("a fork's partial page is not copied", new Edit(Cache, "            Memory.Work.CopyPage(sequence.PageTable[shared], fork.PageTable[shared]);", "            _ = shared;")),
        new("a restored page is the upper node's copy", new Edit(Tree, "            int first = node.Start / _geometry.PageTokens;\n            for (; filled", "            int first = Math.Min(filled, (node.Start + _geometry.PageTokens - 1) / _geometry.PageTokens);\n            for (; filled"), new Edit(Tree, "pages[filled - 1] = node.Pages![filled - 1 - first];", "pages[filled - 1] = node.Pages![filled - 1 - (node.Start / _geometry.PageTokens)];")),
        new("adopted pages are off by one", new Edit(Insert, "int[] pages = table[first.._geometry.PagesFor(node.End)].ToArray();", "int[] pages = table[Math.Max(0, first - 1)..(_geometry.PagesFor(node.End) - Math.Min(first, 1))].ToArray();")),
        new("a split gives the lower half the wrong first page", new Edit(Shape, "lower.Pages = pages[((lower.Start / _geometry.PageTokens) - first)..];", "lower.Pages = pages[..^((lower.Start / _geometry.PageTokens) - first)];")),
        new("a split moves the state to the upper half", new Edit(Shape, "        upper.LastUse = lower.LastUse;", "        upper.LastUse = lower.LastUse;\n        (upper.HasCheckpoint, lower.HasCheckpoint) = (lower.HasCheckpoint, false);\n        (upper.Slot, lower.Slot) = (lower.Slot, PrefixNode.NoSlot);")),
        new("a split loses the state", new Edit(Shape, "        upper.LastUse = lower.LastUse;", "        upper.LastUse = lower.LastUse;\n        if (lower.HasCheckpoint)\n            RemoveCheckpoint(lower);")),
        new("merging keeps the upper node's page for the lower's", new Edit(Shape, "            tail.CopyTo(pages, kept);", "            tail.CopyTo(pages, kept);\n            if (head.Length > kept)\n                pages[kept] = head[kept];")),
        new("a ghost is continued from", new Edit(Evict, "        node.HasCheckpoint = false;\n        node.Slot", "        node.Slot")),

        // Leases and eviction.
        new("a lease ends before room is made", new Edit(Cache, "        if (!PrefixTree.IsValid(lease) ||", "        if (lease.Node is not null)\n        {\n            lease.Node.Leases--;\n            Tree.Release(new PrefixLease(lease.Salt, 0, null));\n        }\n\n        if (!PrefixTree.IsValid(lease) ||"), new Edit(Cache, "        Tree.Refresh(lease, Tick);", "        if (lease.Node is not null)\n            lease.Node.Leases++;\n        Tree.Refresh(lease, Tick);")),
        new("a leased checkpoint is evicted", new Edit(Evict, "node is { HasCheckpoint: true, Leases: 0 } &&", "node is { HasCheckpoint: true } &&")),
        new("a released checkpoint is never evicted again", new Edit(Tree, "        Offer(node);\n        if (!node.Condemned)", "        if (!node.Condemned)")),
        new("KV stays when its last checkpoint goes", new Edit(Evict, "        Checkpoints--;\n        DropUselessKv(node);", "        Checkpoints--;")),
        new("KV goes though another checkpoint needs it", new Edit(Evict, "while (node is { IsRoot: false, Resident: true, HasCheckpoint: false, ResidentChildren: 0 })", "while (node is { IsRoot: false, Resident: true, HasCheckpoint: false })")),
        new("age does not count", new Edit(Policy, " + (lastUse / HalfLife)", " + (0 * lastUse)")),
        new("bytes do not count", new Edit(Policy, "Math.Log2(cost / bytes)", "Math.Log2(cost / Math.Max(1, 0 * bytes))")),
        new("a hit refreshes nothing", new Edit(Tree, "        node.LastUse = Math.Max(node.LastUse, tick);\n", "")),
        new("a hit refreshes the whole path", new Edit(Tree, "        node.LastUse = Math.Max(node.LastUse, tick);\n", "        for (PrefixNode? at = node; at is not null; at = at.Parent)\n            at.LastUse = Math.Max(at.LastUse, tick);\n")),
        new("a new checkpoint does not lower the worth of those below", new Edit(Insert, "        Offer(node);\n        RevalueBelow(node);", "        Offer(node);")),
        new("losing its last child does not lower a checkpoint's worth", new Edit(Evict, "            Revalue(node);\n            Offer(node);", "            Offer(node);")),
        new("a stale worth is taken for true", new Edit(Evict, "            if (worth <= node.Worth)\n                return node;", "            return node;")),
        new("a heap forgets to sink", new Edit(Heap, "        Rise(node);\n        Sink(node);", "        Rise(node);")),
        new("a salt may flush the others", new Edit(Room, "        Tree.Salts > 1 && Tree.SaltBytes(salt) >", "        Tree.Salts > 9999 && Tree.SaltBytes(salt) >")),
        new("checkpoints between are bought with others' memory", new Edit(Room, "        if (planned.OnlyIfFree)\n            return false;", "")),
        new("a checkpoint evicts one worth more", new Edit(Room, "? sequence.Salt : null, worth)", "? sequence.Salt : null)")),
        new("the tree is emptied for what does not fit anyway", new Edit(Room, "        if (!CouldHold(pages, slots))\n            return false;", "")),
        new("what fits is refused", new Edit(Memory, "(slotsThen * Geometry.SuperblocksPerSlot) <= Superblocks;", "(slotsThen * Geometry.SuperblocksPerSlot) < Superblocks;")),

        // Ghosts.
        new("ghosts outgrow their cap", new Edit(Evict, "        while (GhostBytes > _options.GhostBytes)", "        if (GhostBytes > _options.GhostBytes)")),
        new("ghosts are forgotten while there is room", new Edit(Evict, "        while (GhostBytes > _options.GhostBytes)", "        while (GhostBytes > _options.GhostBytes / 2)")),
        new("the ghost touched last is forgotten first", new Edit(Heap, "=> node.LastTouch;", "=> -node.LastTouch;")),
        new("a match touches nothing", new Edit(Tree, "            Touch(child, tick);\n            if (common", "            if (common")),
        new("a revived ghost is still counted", new Edit(Insert, "        LeaveGhosts(node);\n", "")),

        // Moving pages together.
        new("moved pages keep their old number in sequences", new Edit(Room, "            PrefixTree.Renumber(sequence.Pages, _moved);", "            _ = sequence;")),
        new("moved pages keep their old number in the tree", new Edit(Room, "        Tree.Renumber(_moved);", "")),
        new("moved pages are not copied", new Edit(Superblocks, "        Work.CopyPage(page, target);", "")),
        new("moved pages forget that the tree holds them", new Edit(Superblocks, "        _treeReferences[target] = _treeReferences[page];", "")),
        new("nothing is ever moved together", new Edit(Room, "        int freed = Memory.Compact(superblocks, _moved);", "        int freed = 0 * superblocks;")),

        // Failure.
        new("a failed sequence leaves its nonsense in the tree", new Edit(Cache, "            Tree.Forget(sequence.Salt, tokens, sequence.Restored);", "            _ = tokens;")),
        new("condemned content is matched", new Edit(Tree, "if (!node.HasCheckpoint || node.Condemned)", "if (!node.HasCheckpoint)")),
        new("a condemned lease is admitted", new Edit(Tree, "!lease.Released && lease.Node is not { Condemned: true };", "!lease.Released;")),
        new("condemned content is continued", new Edit(Insert, "            sound &= !node.Condemned;", "")),

        // Planning.
        new("a plan exports after the last token", new Edit(Planner, "int last = prompt.Length - 1;", "int last = prompt.Length;")),
        new("a plan is not in order", new Edit(Planner, "=> a.Position.CompareTo(b.Position));", "=> b.Position.CompareTo(a.Position));")),
        new("a plan has a cut right before what matters", new Edit(Planner, "cursor = Math.Min(cut, end - _options.MinimumGain);", "cursor = cut;")),
        new("a plan keeps what saves nothing", new Edit(Planner, "            if (candidate.Position - previous < _options.MinimumGain)\n                continue;\n", "")),
        new("pages are counted short by one at growth", new Edit(Cache, "int missing = Geometry.PagesFor(tokens) - sequence.PageCount;", "int missing = Geometry.PagesFor(tokens) - sequence.PageCount - 1;")),
    ];
}
