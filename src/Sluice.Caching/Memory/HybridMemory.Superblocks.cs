using System.Numerics;

namespace Sluice.Caching.Memory;

/// <content>Superblocks of pages: opening, filling, draining, and moving pages together.</content>
public sealed partial class HybridMemory
{
    private readonly List<int> _emptying = [];

    /// <summary>
    /// Moves pages out of the emptiest superblocks into free pages of others, until <paramref name="superblocks"/> more are free or
    /// nothing more fits. Notes the copies in <see cref="Work"/> and each move in <paramref name="moved"/>; every holder must then
    /// be told. Returns the superblocks freed. Time in the pages moved and the superblocks looked at.
    /// </summary>
    internal int Compact(int superblocks, Dictionary<int, int> moved)
    {
        int pages = Geometry.PagesPerSuperblock;
        int room = FreePagesInPartial;
        int toMove = 0;
        _emptying.Clear();
        for (int free = pages - 1; free > 0 && _emptying.Count < superblocks; free--)
        {
            int superblock = _partial[free];
            while (superblock != None && _emptying.Count < superblocks && toMove + pages - free <= room - free)
            {
                int next = _partialNext[superblock];
                Unlink(superblock);
                _emptying.Add(superblock);
                room -= free;
                toMove += pages - free;
                superblock = next;
            }
        }

        foreach (int superblock in _emptying)
        {
            int first = superblock * pages;
            for (int page = first; page < first + pages; page++)
            {
                if (_references[page] > 0)
                    Move(page, moved);
            }

            FreePagesInPartial -= _freePages[superblock];
            Close(superblock);
        }

        return _emptying.Count;
    }

    /// <summary>Moves a page, with all its holders, to the fullest superblock that is not itself being emptied.</summary>
    private void Move(int page, Dictionary<int, int> moved)
    {
        int target = TakeFrom(FullestPartial());
        _references[target] = _references[page];
        _treeReferences[target] = _treeReferences[page];
        _references[page] = 0;
        _treeReferences[page] = 0;
        _pageLedger?.Rename(page, target);
        Work.CopyPage(page, target);
        if (_poison)
            Work.PoisonPage(page);
        moved.Add(page, target);
    }

    private int FullestPartial()
    {
        for (int word = 0; word < _partialLengths.Length; word++)
        {
            if (_partialLengths[word] != 0)
                return _partial[(word * 64) + BitOperations.TrailingZeroCount(_partialLengths[word])];
        }

        return None;
    }

    /// <summary>Gives a free superblock to pages. All its pages are free, which is as yet no length a partial one may have.</summary>
    private int OpenForPages()
    {
        int superblock = _freeSuperblocks[--_freeSuperblockCount];
        int pages = Geometry.PagesPerSuperblock;
        int first = superblock * pages;
        _use[superblock] = Use.Pages;
        for (int i = 0; i < pages; i++)
            _nextFree[first + i] = i + 1 < pages ? first + i + 1 : None;
        _firstFree[superblock] = first;
        _freePages[superblock] = pages;
        PageSuperblocks++;
        FreePagesInPartial += pages;
        return superblock;
    }

    private void Close(int superblock)
    {
        _use[superblock] = Use.Free;
        _freePages[superblock] = 0;
        _freeSuperblocks[_freeSuperblockCount++] = superblock;
        PageSuperblocks--;
    }

    private int TakeFrom(int superblock)
    {
        int page = _firstFree[superblock];
        _firstFree[superblock] = _nextFree[page];
        if (_freePages[superblock] < Geometry.PagesPerSuperblock)
            Unlink(superblock);
        _freePages[superblock]--;
        FreePagesInPartial--;
        if (_freePages[superblock] > 0)
            Link(superblock);
        return page;
    }

    private void ReturnTo(int superblock, int page)
    {
        if (_freePages[superblock] > 0)
            Unlink(superblock);
        _nextFree[page] = _firstFree[superblock];
        _firstFree[superblock] = page;
        _freePages[superblock]++;
        FreePagesInPartial++;
        if (_freePages[superblock] < Geometry.PagesPerSuperblock)
        {
            Link(superblock);
            return;
        }

        FreePagesInPartial -= Geometry.PagesPerSuperblock;
        Close(superblock);
    }

    private void Link(int superblock)
    {
        int free = _freePages[superblock];
        int head = _partial[free];
        _partialNext[superblock] = head;
        _partialPrevious[superblock] = None;
        if (head != None)
            _partialPrevious[head] = superblock;
        _partial[free] = superblock;
        _partialLengths[free / 64] |= 1UL << (free % 64);
    }

    private void Unlink(int superblock)
    {
        int free = _freePages[superblock];
        int next = _partialNext[superblock];
        int previous = _partialPrevious[superblock];
        if (previous == None)
            _partial[free] = next;
        else
            _partialNext[previous] = next;
        if (next != None)
            _partialPrevious[next] = previous;
        if (_partial[free] == None)
            _partialLengths[free / 64] &= ~(1UL << (free % 64));
    }
}
