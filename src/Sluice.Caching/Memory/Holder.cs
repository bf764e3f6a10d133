using System.Globalization;

namespace Sluice.Caching.Memory;

/// <summary>What kind of thing holds a page or a slot.</summary>
public enum HolderKind : byte
{
    /// <summary>A node of the prefix tree.</summary>
    Tree,

    /// <summary>A sequence.</summary>
    Sequence,
}

/// <summary>Who holds a page or a slot: the accounting goes by kind, the ledger of debug builds by number too.</summary>
/// <param name="Kind">Tree or sequence.</param>
/// <param name="Id">The node's or sequence's number.</param>
public readonly record struct Holder(HolderKind Kind, int Id)
{
    /// <summary>A node of the tree.</summary>
    public static Holder Node(int id) => new(HolderKind.Tree, id);

    /// <summary>A sequence.</summary>
    public static Holder Sequence(int id) => new(HolderKind.Sequence, id);

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{(Kind == HolderKind.Tree ? "node" : "sequence")} {Id}");
}
