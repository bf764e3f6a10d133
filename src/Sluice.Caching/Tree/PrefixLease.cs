namespace Sluice.Caching.Tree;

/// <summary>Why a prompt's known keys were not all reusable.</summary>
public enum MissReason : byte
{
    /// <summary>Everything known was reusable, up to the one token that must be computed.</summary>
    None,

    /// <summary>Nothing of the prompt is known.</summary>
    KeyMiss,

    /// <summary>More is known than can be continued from: no checkpoint was ever there.</summary>
    NoState,

    /// <summary>A checkpoint deeper in the known part was evicted.</summary>
    Evicted,

    /// <summary>The prompt is known better under another cache salt.</summary>
    Salt,

    /// <summary>The cache is off.</summary>
    Disabled,
}

/// <summary>
/// The answer of a match, and the right to what it found: while it is held, neither the state found nor any KV on its path can be
/// evicted. Release it
/// once (<see cref="PrefixTree.Release"/>); <see cref="Sequences.PrefixCache.TryAdmit"/> does when it succeeds.
/// </summary>
public sealed class PrefixLease
{
    internal PrefixLease(string salt, int length, PrefixNode? node)
    {
        Salt = salt;
        Length = length;
        Node = node;
    }

    /// <summary>The cache salt of the request.</summary>
    public string Salt { get; }

    /// <summary>Tokens of the prompt that was matched.</summary>
    public int Length { get; }

    /// <summary>Tokens that need not be computed: state and KV exist for exactly these. Less than <see cref="Length"/>.</summary>
    public int Position { get; internal init; }

    /// <summary>Tokens for which KV exists on the path.</summary>
    public int KvDepth { get; internal init; }

    /// <summary>Tokens whose keys are known, ghosts included: where this prompt leaves all others.</summary>
    public int KeyDepth { get; internal init; }

    /// <summary>Why <see cref="Position"/> is not <see cref="KeyDepth"/>.</summary>
    public MissReason Miss { get; internal init; }

    /// <summary>Whether it was released.</summary>
    public bool Released { get; internal set; }

    /// <summary>The node whose end (without states: a position in whose span) is <see cref="Position"/>; null for 0.</summary>
    internal PrefixNode? Node { get; }

    /// <summary>The deepest node at whose end a checkpoint would have been found, had it not been evicted.</summary>
    internal PrefixNode? Missed { get; init; }

    /// <summary>Slot of the state at <see cref="Position"/>; -1 at position 0 and for models without states.</summary>
    internal int Slot => Node?.Slot ?? PrefixNode.NoSlot;
}
