using System.Runtime.InteropServices;
using Sluice.Caching.Memory;
using Sluice.Caching.Tree;

namespace Sluice.Caching.Sequences;

/// <summary>
/// The pages and slots one running sequence holds, and how far they are filled. Made by <see cref="PrefixCache.TryAdmit"/>, and at
/// an end after <see cref="PrefixCache.Finish"/>, <see cref="PrefixCache.Release(SequenceMemory)"/> or <see cref="PrefixCache.Fail"/>.
/// </summary>
public sealed class SequenceMemory
{
    private readonly List<StateCheckpoint> _exports = [];
    private int[] _pages = [];

    internal SequenceMemory(int id, string salt, int restored)
    {
        Id = id;
        Salt = salt;
        Restored = restored;
        Computed = restored;
        LastCheckpoint = restored;
    }

    /// <summary>Its number; numbers are used again.</summary>
    public int Id { get; }

    /// <summary>Its cache salt.</summary>
    public string Salt { get; }

    /// <summary>Tokens taken from the cache.</summary>
    public int Restored { get; }

    /// <summary>Tokens whose KV is in the pages and whose state is in the live slot: those restored and those of committed steps.</summary>
    public int Computed { get; internal set; }

    /// <summary>Slot of the live state; -1 for a model without states.</summary>
    public int LiveSlot { get; internal set; } = PrefixNode.NoSlot;

    /// <summary>
    /// Page of each 16 positions; entries from <see cref="PageCount"/> on are unused. The array is replaced when it grows, and its
    /// entries when pages are moved together: take it anew for every step.
    /// </summary>
    public int[] PageTable => _pages;

    /// <summary>Pages held.</summary>
    public int PageCount { get; private set; }

    /// <summary>States that steps in flight were asked to export, ascending, not yet given to the tree.</summary>
    public ReadOnlySpan<StateCheckpoint> Exports => CollectionsMarshal.AsSpan(_exports);

    /// <summary>Whether it holds nothing any more.</summary>
    public bool Released { get; internal set; }

    /// <summary>Position of the deepest checkpoint known on its path.</summary>
    public int LastCheckpoint { get; internal set; }

    internal Holder Holder => Holder.Sequence(Id);

    internal Span<int> Pages => _pages.AsSpan(0, PageCount);

    internal void AddPage(int page)
    {
        if (PageCount == _pages.Length)
            Array.Resize(ref _pages, Math.Max(8, PageCount * 2));
        _pages[PageCount++] = page;
    }

    internal void AddExport(StateCheckpoint export) => _exports.Add(export);

    internal void RemoveExports(int from, int count) => _exports.RemoveRange(from, count);
}
