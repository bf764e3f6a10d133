using Sluice.Caching.Memory;

namespace Sluice.Caching.Tests.Fuzz;

/// <summary>
/// A device whose memory is the arena itself, superblock by superblock: what a page or slot holds is what was last written to those
/// bytes through whatever number. Runs the cache's instructions in order, as late as the engine may.
/// </summary>
public sealed class Device
{
    private const ulong Poison = 0xDEAD_DEAD_DEAD_DEAD;

    private readonly HybridMemory _memory;
    private readonly int _pageTokens;
    private readonly int _pages;
    private readonly int _perSlot;
    private readonly int _cells;
    private readonly ulong[] _arena;
    private readonly int[] _table;

    public Device(HybridMemory memory)
    {
        _memory = memory;
        _pageTokens = memory.Geometry.PageTokens;
        _pages = memory.Geometry.PagesPerSuperblock;
        _perSlot = memory.Geometry.SuperblocksPerSlot;
        _cells = _pages * _pageTokens;
        _arena = new ulong[memory.Superblocks * _cells];
        Array.Fill(_arena, Poison);
        _table = new int[memory.Slots * _perSlot];
        Array.Fill(_table, -1);
    }

    public bool Idle => _memory.Work.Operations.IsEmpty;

    public void Drain()
    {
        foreach (DeviceOperation operation in _memory.Work.Operations)
        {
            switch (operation.Kind)
            {
                case DeviceOperationKind.CopyPage:
                    Page(operation.From).CopyTo(Page(operation.To));
                    break;
                case DeviceOperationKind.CopySlot:
                    for (int i = 0; i < _perSlot; i++)
                        Superblock(operation.From, i).CopyTo(Superblock(operation.To, i));
                    break;
                case DeviceOperationKind.MapSlot:
                    _memory.Work.Superblocks(operation).CopyTo(_table.AsSpan(operation.From * _perSlot));
                    break;
                case DeviceOperationKind.PoisonPage:
                    Page(operation.From).Fill(Poison);
                    break;
                case DeviceOperationKind.PoisonSlot:
                    for (int i = 0; i < _perSlot; i++)
                        Superblock(operation.From, i).Fill(Poison);
                    break;
                default:
                    throw new ViolationException($"unknown device operation {operation}");
            }
        }

        _memory.Work.Clear();
    }

    /// <summary>Writes the KV of token <paramref name="position"/> through a page table.</summary>
    public void WriteKv(ReadOnlySpan<int> table, int position, ulong value) =>
        Page(table[position / _pageTokens])[position % _pageTokens] = value;

    public ulong ReadKv(int page, int position) => Page(page)[position % _pageTokens];

    /// <summary>Writes a state of <paramref name="position"/> tokens into all of a slot.</summary>
    public void WriteState(int slot, int position, ulong value)
    {
        for (int i = 0; i < _perSlot; i++)
            Superblock(slot, i).Fill(Cell(i, position, value));
    }

    /// <summary>Whether all of a slot holds this state.</summary>
    public bool HoldsState(int slot, int position, ulong value)
    {
        for (int i = 0; i < _perSlot; i++)
        {
            if (Superblock(slot, i).ContainsAnyExcept(Cell(i, position, value)))
                return false;
        }

        return true;
    }

    private static ulong Cell(int part, int position, ulong value) => Rng.Mix(value, (ulong)((position * 64) + part));

    private Span<ulong> Page(int page) =>
        _arena.AsSpan((page / _pages * _cells) + (page % _pages * _pageTokens), _pageTokens);

    private Span<ulong> Superblock(int slot, int part)
    {
        int superblock = _table[(slot * _perSlot) + part];
        ViolationException.Unless(superblock >= 0, "a slot was used before the device was told where it is");
        return _arena.AsSpan(superblock * _cells, _cells);
    }
}
