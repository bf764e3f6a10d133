using System.Diagnostics;

namespace Sluice.Caching;

/// <summary>
/// Numbers of KV pages: free, or held by one or more owners. A page is shared by counting references, so that a prefix can be
/// read by many sequences; it becomes free when its last owner lets go. Used by one thread.
/// </summary>
public sealed class PagePool
{
    private readonly int[] _references;
    private readonly int[] _free;
    private int _freeCount;

    /// <summary>Creates a pool of <paramref name="pages"/> free pages.</summary>
    public PagePool(int pages)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(pages);
        _references = new int[pages];
        _free = new int[pages];
        _freeCount = pages;

        // Taken from the end: a fresh pool hands out 0, 1, 2, ... so that early sequences lie in consecutive memory.
        for (int i = 0; i < pages; i++)
            _free[i] = pages - 1 - i;
    }

    /// <summary>Pages there are.</summary>
    public int Count => _references.Length;

    /// <summary>Pages nobody holds.</summary>
    public int FreeCount => _freeCount;

    /// <summary>How many owners hold a page.</summary>
    public int References(int page) => _references[page];

    /// <summary>Takes one page for one owner; false when none is free.</summary>
    public bool TryRent(out int page)
    {
        if (_freeCount == 0)
        {
            page = -1;
            return false;
        }

        page = _free[--_freeCount];
        Debug.Assert(_references[page] == 0, "a free page has no owner");
        _references[page] = 1;
        return true;
    }

    /// <summary>Fills <paramref name="pages"/> with pages for one owner, or takes none and returns false.</summary>
    public bool TryRent(Span<int> pages)
    {
        if (pages.Length > _freeCount)
            return false;
        foreach (ref int page in pages)
            _ = TryRent(out page);
        return true;
    }

    /// <summary>Adds an owner to a page that has one.</summary>
    /// <exception cref="InvalidOperationException">The page is free.</exception>
    public void AddReference(int page)
    {
        if (_references[page] == 0)
            throw new InvalidOperationException($"page {page} is free: only a held page can be shared");
        _references[page] = checked(_references[page] + 1);
    }

    /// <summary>Removes one owner; the last one frees the page.</summary>
    /// <exception cref="InvalidOperationException">The page is free already.</exception>
    public void Release(int page)
    {
        if (_references[page] == 0)
            throw new InvalidOperationException($"page {page} is free already");
        if (--_references[page] == 0)
            _free[_freeCount++] = page;
    }

    /// <summary>Removes one owner from each of <paramref name="pages"/>, the last one first.</summary>
    public void Release(ReadOnlySpan<int> pages)
    {
        for (int i = pages.Length - 1; i >= 0; i--)
            Release(pages[i]);
    }

    /// <summary>Proves that every page is either free, once, or has an owner.</summary>
    /// <exception cref="InvalidOperationException">It does not hold; the message says for which page.</exception>
    public void CheckIntegrity()
    {
        if ((uint)_freeCount > (uint)Count)
            throw new InvalidOperationException($"{_freeCount} of {Count} pages are free");
        var seen = new bool[Count];
        foreach (int page in _free.AsSpan(0, _freeCount))
        {
            if ((uint)page >= (uint)Count)
                throw new InvalidOperationException($"page {page} of {Count} is in the free list");
            if (seen[page])
                throw new InvalidOperationException($"page {page} is in the free list twice");
            if (_references[page] != 0)
                throw new InvalidOperationException($"page {page} is free and has {_references[page]} owners");
            seen[page] = true;
        }

        for (int page = 0; page < Count; page++)
        {
            if (!seen[page] && _references[page] <= 0)
                throw new InvalidOperationException($"page {page} is lost: not free, and {_references[page]} owners");
        }
    }
}
