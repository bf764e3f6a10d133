namespace Sluice.Text.Tokenization;

/// <summary>A binary heap of numbers, smallest first, in memory the caller lends: a <see cref="PriorityQueue{TElement, TPriority}"/> that allocates nothing.</summary>
/// <param name="items">Room for as many numbers as will be in the heap at any time.</param>
internal ref struct MinimumHeap(Span<long> items)
{
    private readonly Span<long> _items = items;
    private int _count;

    /// <summary>Puts a number in.</summary>
    public void Push(long item)
    {
        int at = _count++;
        while (at > 0)
        {
            int parent = (at - 1) / 2;
            if (_items[parent] <= item)
                break;
            _items[at] = _items[parent];
            at = parent;
        }

        _items[at] = item;
    }

    /// <summary>Takes the smallest number out.</summary>
    public bool TryPop(out long smallest)
    {
        smallest = 0;
        if (_count == 0)
            return false;

        smallest = _items[0];
        long last = _items[--_count];
        int at = 0;
        while (true)
        {
            int child = 2 * at + 1;
            if (child >= _count)
                break;
            if (child + 1 < _count && _items[child + 1] < _items[child])
                child++;
            if (_items[child] >= last)
                break;
            _items[at] = _items[child];
            at = child;
        }

        _items[at] = last;
        return true;
    }
}
