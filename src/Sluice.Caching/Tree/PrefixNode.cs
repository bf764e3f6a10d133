namespace Sluice.Caching.Tree;

/// <summary>
/// A span of tokens in the tree, [<see cref="Start"/>, <see cref="End"/>), the KV pages it touches or none (a ghost), and at most
/// one state checkpoint, at its end. Plain data: <see cref="PrefixTree"/> keeps its rules.
/// </summary>
internal sealed class PrefixNode
{
    public const int NoSlot = -1;

    /// <summary>Number of a node that is no longer in the tree.</summary>
    public const int Gone = -1;

    private static readonly int[] NoPages = [];

    private PrefixNode(SaltTree salt, int id, PrefixNode? parent, int[] tokens)
    {
        Salt = salt;
        Id = id;
        Parent = parent;
        Start = parent?.End ?? 0;
        Tokens = tokens;
    }

    public SaltTree Salt { get; }

    /// <summary>Unique among living nodes: the half of a child's key that names its parent.</summary>
    public int Id { get; set; }

    public PrefixNode? Parent { get; set; }

    /// <summary>Position of the first token.</summary>
    public int Start { get; private set; }

    public int[] Tokens { get; private set; }

    public int End => Start + Tokens.Length;

    /// <summary>
    /// Page of each 16 positions from the one that holds <see cref="Start"/> to the one that holds the last token; null for a ghost.
    /// When the span begins inside a page, that page also holds what precedes it on the path, so a path's page is always the
    /// deepest node's.
    /// </summary>
    public int[]? Pages { get; set; }

    /// <summary>Whether KV exists for the whole span. The root's empty span always has it.</summary>
    public bool Resident => Pages is not null;

    /// <summary>Whether a sequence can continue from <see cref="End"/>. Without states every resident node can be continued.</summary>
    public bool HasCheckpoint { get; set; }

    /// <summary>Slot of the checkpoint; <see cref="NoSlot"/> without one, or for a model without states.</summary>
    public int Slot { get; set; } = NoSlot;

    /// <summary>Tokens that the checkpoint's state has absorbed, as its sequence said: always <see cref="End"/>.</summary>
    public int CheckpointPosition { get; set; }

    /// <summary>KV or state is known to be bad, but leased below: matches nothing and is continued by nobody until it goes.</summary>
    public bool Condemned { get; set; }

    /// <summary>Why the checkpoint was made; of a lost one, too.</summary>
    public CheckpointReason Reason { get; set; }

    /// <summary>Sequences that continued from the checkpoint; of a lost one, too.</summary>
    public int Uses { get; set; }

    /// <summary>Base-2 logarithm of the chance that another will, as estimated when the last one did.</summary>
    public double LogChance { get; set; }

    /// <summary>A checkpoint was here, or in a span merged into this one, and was evicted.</summary>
    public bool LostCheckpoint { get; set; }

    /// <summary>
    /// Leases on this checkpoint. One is enough to keep the KV of the whole path, since a checkpoint always has that; states above
    /// are not needed to continue from here, so they stay evictable: a long conversation must not hold its memory against itself.
    /// </summary>
    public int Leases { get; set; }

    /// <summary>Tick when the checkpoint was made or last restored.</summary>
    public long LastUse { get; set; }

    /// <summary>Tick when a match or insertion last walked over any token of the span.</summary>
    public long LastTouch { get; set; }

    /// <summary>Marks nodes counted already while the pages of leased paths are.</summary>
    public int KeptMark { get; set; }

    public int ChildCount { get; set; }

    public int ResidentChildren { get; set; }

    public PrefixNode? FirstChild { get; set; }

    public PrefixNode? NextSibling { get; set; }

    public PrefixNode? PreviousSibling { get; set; }

    /// <summary>Worth by which the eviction heaps order; never more than the true one.</summary>
    public double Worth { get; set; }

    // Places in the heaps, -1 when absent. Fields, because a heap needs references to them.
    public int WorthIndex = -1;
    public int SaltWorthIndex = -1;
    public int GhostIndex = -1;

    public bool IsRoot => Parent is null;

    public static PrefixNode Root(SaltTree salt, int id) => new(salt, id, null, []) { Pages = NoPages };

    public static PrefixNode Child(PrefixNode parent, int id, int[] tokens) => new(parent.Salt, id, parent, tokens);

    /// <summary>The first <paramref name="count"/> tokens go to a new node above this one.</summary>
    public void CutHead(int count)
    {
        Start += count;
        Tokens = Tokens[count..];
    }

    /// <summary>Takes over the tokens of the node above.</summary>
    public void Prepend(PrefixNode head)
    {
        int[] tokens = new int[head.Tokens.Length + Tokens.Length];
        head.Tokens.CopyTo(tokens, 0);
        Tokens.CopyTo(tokens, head.Tokens.Length);
        Tokens = tokens;
        Start = head.Start;
    }
}
