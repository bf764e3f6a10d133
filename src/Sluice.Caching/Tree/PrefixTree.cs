using Sluice.Caching.Memory;
using Sluice.Core;

namespace Sluice.Caching.Tree;

/// <summary>
/// What prompts and outputs were computed, by token: one radix tree for each cache salt. A node has its span of tokens, the KV
/// pages of that span or none (a ghost), and at most one state checkpoint, at its end. Used by one thread; knows no clock: callers
/// pass ticks.
/// <para>Always true between calls (<see cref="CheckIntegrity"/>):</para>
/// <list type="bullet">
/// <item>a checkpoint's position is its node's end;</item>
/// <item>a node has KV if and only if it or a node below has a checkpoint, so a checkpoint has KV on its whole path, and no KV is
/// kept that nobody could continue from; for a model without states every node with KV counts as a checkpoint, also inside;</item>
/// <item>a leased checkpoint is never evicted, and so neither is any KV it needs;</item>
/// <item>a ghost has no pages; ghosts together stay within their cap;</item>
/// <item>a node without checkpoint has no only child of its own kind that it could be one with, up to a length.</item>
/// </list>
/// <para>
/// Matching takes time in the tokens matched and the nodes passed; insertion the same; eviction the logarithm of the checkpoints
/// and the pages freed.
/// </para>
/// </summary>
public sealed partial class PrefixTree
{
    /// <summary>Host bytes a ghost is charged for besides 4 for each token: the node, its key and its place in a heap.</summary>
    public const int GhostNodeBytes = 256;

    /// <summary>Known tokens that could not be reused, up to which the miss is not worth a reason.</summary>
    public const int NegligibleMiss = 16;

    private const int OtherSaltsAsked = 8;

    private readonly HybridMemory _memory;
    private readonly MemoryGeometry _geometry;
    private readonly TreeOptions _options;
    private readonly Dictionary<string, SaltTree> _salts = new(StringComparer.Ordinal);

    // One table for all nodes' children, keyed by parent and first token: most nodes have one child or none, and a dictionary
    // each would outweigh them.
    private readonly Dictionary<long, PrefixNode> _children = [];
    private readonly Stack<int> _freeIds = new();
    private readonly List<PrefixNode> _leased = [];
    private readonly int[] _kept;
    private int _keptMark;
    private int _nextId;

    /// <summary>Creates an empty tree over <paramref name="memory"/>.</summary>
    public PrefixTree(HybridMemory memory, TreeOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(memory);
        _memory = memory;
        _geometry = memory.Geometry;
        _options = options ?? new TreeOptions();
        _options.Validate();
        _kept = new int[memory.Pages];
    }

    /// <summary>Nodes, roots not counted.</summary>
    public int Nodes { get; private set; }

    /// <summary>Cache salts with a tree.</summary>
    public int Salts => _salts.Count;

    /// <summary>Distinct checkpoints on lease: neither they nor the KV of their paths can be evicted now.</summary>
    public int Leased => _leased.Count;

    /// <summary>Checkpoints; for a model without states, nodes with KV.</summary>
    public int Checkpoints { get; private set; }

    /// <summary>Distinct pages the tree holds.</summary>
    public int PagesHeld { get; private set; }

    /// <summary>Tokens of ghosts.</summary>
    public long GhostTokens { get; private set; }

    /// <summary>Ghosts.</summary>
    public int Ghosts { get; private set; }

    /// <summary>Host memory charged for ghosts: 4 bytes a token and <see cref="GhostNodeBytes"/> a node.</summary>
    public long GhostBytes => (GhostTokens * sizeof(int)) + ((long)Ghosts * GhostNodeBytes);

    /// <summary>
    /// Finds how much of <paramref name="tokens"/> is known and how much of that can be continued from, and leases the latter.
    /// Changes nothing but touches and the lease: no node is split, made or removed. At least one token is left to compute.
    /// </summary>
    public PrefixLease Match(string salt, ReadOnlySpan<int> tokens, long tick)
    {
        ArgumentNullException.ThrowIfNull(salt);
        if (!_salts.TryGetValue(salt, out SaltTree? tree))
            return new PrefixLease(salt, tokens.Length, null) { Miss = MissingFrom(salt, null, 0, tokens) };

        int limit = tokens.Length - 1;
        int keyDepth = 0, kvDepth = 0, position = 0;
        PrefixNode? lost = null;
        PrefixNode node = tree.Root;
        PrefixNode? best = null;
        while (keyDepth < tokens.Length && Child(node, tokens[keyDepth]) is { } child)
        {
            int common = tokens[keyDepth..].CommonPrefixLength(child.Tokens);
            keyDepth += common;
            if (child.Resident)
                kvDepth = keyDepth;
            if (CanContinueIn(child, keyDepth, limit))
            {
                best = child;
                position = Math.Min(keyDepth, limit);
                lost = null;
            }
            else if (child.LostCheckpoint && (lost is null || child.End <= Math.Min(keyDepth, limit)))
            {
                lost = child;
            }

            Touch(child, tick);
            if (common < child.Tokens.Length)
                break;
            node = child;
        }

        MissReason miss = MissReason.None;
        if (Math.Min(keyDepth, limit) - position >= NegligibleMiss)
            miss = lost is not null ? MissReason.Evicted : MissReason.NoState;
        else if (position == 0)
            miss = MissingFrom(salt, tree, keyDepth, tokens);
        if (best is not null && best.Leases++ == 0)
            _leased.Add(best);
        return new PrefixLease(salt, tokens.Length, best)
        {
            Position = position,
            KvDepth = kvDepth,
            KeyDepth = keyDepth,
            Miss = miss,
            Missed = lost is not null && lost.End <= Math.Min(keyDepth, limit) ? lost : null,
        };
    }

    /// <summary>
    /// The state (or, without states, the KV) that a lease found was used: its age starts again, and nothing else's. What would have
    /// been used had it not been evicted is counted too.
    /// </summary>
    public void Refresh(PrefixLease lease, long tick)
    {
        RequireHeld(lease);
        if (lease.Missed is { LostCheckpoint: true } missed)
            _reuse.Missed(missed.Reason, missed.Uses);
        if (lease.Node is not { } node)
            return;
        _reuse.Used(node.Reason, node.Uses);
        node.Uses++;
        node.LastUse = Math.Max(node.LastUse, tick);
        node.LogChance = _reuse.LogChance(node.Reason, node.Uses);
        Revalue(node);
    }

    /// <summary>
    /// Whether what the lease found is still good: false when its content was condemned after the match (<see cref="Forget"/>).
    /// </summary>
    public static bool IsValid(PrefixLease lease)
    {
        ArgumentNullException.ThrowIfNull(lease);
        return !lease.Released && lease.Node is not { Condemned: true };
    }

    /// <summary>
    /// Fills <paramref name="pages"/> with the page of each 16 positions that hold the lease's <see cref="PrefixLease.Position"/>
    /// tokens; the last may be partly valid.
    /// </summary>
    public void CopyPages(PrefixLease lease, Span<int> pages)
    {
        RequireHeld(lease);
        int count = _geometry.PagesFor(lease.Position);
        if (pages.Length < count)
            throw new ArgumentException($"expected room for {count} pages, found {pages.Length}", nameof(pages));

        // From the deepest node up, so that a page that two nodes hold in copies of their own comes from the deeper.
        int filled = count;
        for (PrefixNode? node = lease.Node; node is { IsRoot: false }; node = node.Parent)
        {
            int first = node.Start / _geometry.PageTokens;
            for (; filled > first; filled--)
                pages[filled - 1] = node.Pages![filled - 1 - first];
        }
    }

    /// <summary>Gives a lease back: what it kept may be evicted again.</summary>
    /// <exception cref="IntegrityException">It was given back before.</exception>
    public void Release(PrefixLease lease)
    {
        RequireHeld(lease);
        lease.Released = true;
        if (lease.Node is not { } node || --node.Leases > 0)
            return;
        _leased.Remove(node);
        Offer(node);
        if (!node.Condemned)
            return;

        // Without states, condemned spans above were kept only by this one.
        while (node.Condemned && IsEvictable(node))
        {
            PrefixNode above = node.Parent!;
            RemoveCheckpoint(node);
            node = above;
        }

        TrimGhosts();
    }

    /// <summary>Pages that the tree alone holds and cannot give up, because leases need them. Time in the leased paths.</summary>
    internal int PagesKeptByLeases()
    {
        int count = 0;
        _keptMark++;
        foreach (PrefixNode leased in _leased)
        {
            for (PrefixNode node = leased; !node.IsRoot && node.KeptMark != _keptMark; node = node.Parent!)
            {
                node.KeptMark = _keptMark;
                foreach (int page in node.Pages!)
                {
                    if (_kept[page] == _keptMark)
                        continue;
                    _kept[page] = _keptMark;
                    if (_memory.References(page) == _memory.TreeReferences(page))
                        count++;
                }
            }
        }

        return count;
    }

    private static void RequireHeld(PrefixLease lease)
    {
        ArgumentNullException.ThrowIfNull(lease);
        if (lease.Released)
            throw new IntegrityException("a prefix lease was used after its release");
    }

    private bool CanContinueIn(PrefixNode node, int matchedTo, int limit)
    {
        if (!node.HasCheckpoint || node.Condemned)
            return false;
        return _geometry.HasStates
            ? node.End == matchedTo && node.End <= limit
            : Math.Min(matchedTo, limit) > node.Start;
    }

    private PrefixNode? Child(PrefixNode node, int token) => _children.GetValueOrDefault(ChildKey(node, token));

    private static long ChildKey(PrefixNode node, int token) => ((long)node.Id << 32) | (uint)token;

    private void Touch(PrefixNode node, long tick)
    {
        node.LastTouch = Math.Max(node.LastTouch, tick);
        if (node.GhostIndex >= 0)
            _ghosts.Restore(node);
    }

    /// <summary>Nothing can be continued from: says whether the prompt is unknown, or known under another salt.</summary>
    private MissReason MissingFrom(string salt, SaltTree? own, int keyDepth, ReadOnlySpan<int> tokens)
    {
        int asked = 0;
        foreach (SaltTree other in _salts.Values)
        {
            if (other == own || string.Equals(other.Name, salt, StringComparison.Ordinal))
                continue;
            if (KeyDepth(other, tokens) >= keyDepth + NegligibleMiss)
                return MissReason.Salt;
            if (++asked == OtherSaltsAsked)
                break;
        }

        return MissReason.KeyMiss;
    }

    private int KeyDepth(SaltTree tree, ReadOnlySpan<int> tokens)
    {
        int depth = 0;
        PrefixNode node = tree.Root;
        while (depth < tokens.Length && Child(node, tokens[depth]) is { } child)
        {
            int common = tokens[depth..].CommonPrefixLength(child.Tokens);
            depth += common;
            if (common < child.Tokens.Length)
                break;
            node = child;
        }

        return depth;
    }
}
