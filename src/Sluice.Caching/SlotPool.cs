namespace Sluice.Caching;

/// <summary>
/// Numbers of recurrent-state slots: free, or held by exactly one owner. A state is valid at one position only and is
/// overwritten by the next step, so a slot, unlike a page, is never shared. Used by one thread.
/// </summary>
public sealed class SlotPool
{
    private readonly bool[] _held;
    private readonly int[] _free;
    private int _freeCount;

    /// <summary>Creates a pool of <paramref name="slots"/> free slots.</summary>
    public SlotPool(int slots)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(slots);
        _held = new bool[slots];
        _free = new int[slots];
        _freeCount = slots;
        for (int i = 0; i < slots; i++)
            _free[i] = slots - 1 - i;
    }

    /// <summary>Slots there are.</summary>
    public int Count => _held.Length;

    /// <summary>Slots nobody holds.</summary>
    public int FreeCount => _freeCount;

    /// <summary>Whether somebody holds a slot.</summary>
    public bool IsHeld(int slot) => _held[slot];

    /// <summary>Takes a slot; false when none is free.</summary>
    public bool TryRent(out int slot)
    {
        if (_freeCount == 0)
        {
            slot = -1;
            return false;
        }

        slot = _free[--_freeCount];
        _held[slot] = true;
        return true;
    }

    /// <summary>Gives a slot back.</summary>
    /// <exception cref="InvalidOperationException">The slot is free already.</exception>
    public void Release(int slot)
    {
        if (!_held[slot])
            throw new InvalidOperationException($"state slot {slot} is free already");
        _held[slot] = false;
        _free[_freeCount++] = slot;
    }

    /// <summary>Proves that every slot is either free, once, or held.</summary>
    /// <exception cref="InvalidOperationException">It does not hold; the message says for which slot.</exception>
    public void CheckIntegrity()
    {
        if ((uint)_freeCount > (uint)Count)
            throw new InvalidOperationException($"{_freeCount} of {Count} state slots are free");
        var seen = new bool[Count];
        foreach (int slot in _free.AsSpan(0, _freeCount))
        {
            if ((uint)slot >= (uint)Count)
                throw new InvalidOperationException($"state slot {slot} of {Count} is in the free list");
            if (seen[slot])
                throw new InvalidOperationException($"state slot {slot} is in the free list twice");
            if (_held[slot])
                throw new InvalidOperationException($"state slot {slot} is free and held");
            seen[slot] = true;
        }

        for (int slot = 0; slot < Count; slot++)
        {
            if (!seen[slot] && !_held[slot])
                throw new InvalidOperationException($"state slot {slot} is lost: neither free nor held");
        }
    }
}
