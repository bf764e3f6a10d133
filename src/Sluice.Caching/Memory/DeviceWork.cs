using System.Runtime.InteropServices;

namespace Sluice.Caching.Memory;

/// <summary>What the device must do to memory.</summary>
public enum DeviceOperationKind : byte
{
    /// <summary>Copy a page, all layers.</summary>
    CopyPage,

    /// <summary>Copy a slot, all layers, recurrent and convolution states together.</summary>
    CopySlot,

    /// <summary>A slot got its superblocks: the device's table of slots learns them (<see cref="DeviceWork.Superblocks"/>).</summary>
    MapSlot,

    /// <summary>Fill a page with NaN: it was freed. Only when poisoning is on.</summary>
    PoisonPage,

    /// <summary>Fill a slot with NaN, through the table as it stands: it was freed. Only when poisoning is on.</summary>
    PoisonSlot,
}

/// <summary>One instruction to the device.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="From">Source of a copy; otherwise the page or slot meant.</param>
/// <param name="To">Target of a copy; otherwise internal.</param>
public readonly record struct DeviceOperation(DeviceOperationKind Kind, int From, int To);

/// <summary>
/// Instructions that the device must run, in this order, before the next step reads or writes any page or slot. The order is what
/// makes it safe to free a page whose copy is only noted here: whatever reuses the page comes later.
/// </summary>
public sealed class DeviceWork
{
    private readonly List<DeviceOperation> _operations = [];
    private readonly List<int> _superblocks = [];
    private readonly int _superblocksPerSlot;

    internal DeviceWork(int superblocksPerSlot) => _superblocksPerSlot = superblocksPerSlot;

    /// <summary>What is to be done, in order.</summary>
    public ReadOnlySpan<DeviceOperation> Operations => CollectionsMarshal.AsSpan(_operations);

    /// <summary>
    /// The superblocks a <see cref="DeviceOperationKind.MapSlot"/> gives its slot. They are kept with the instruction because a slot
    /// may be freed and mapped again before the device has run the first.
    /// </summary>
    public ReadOnlySpan<int> Superblocks(DeviceOperation map) =>
        CollectionsMarshal.AsSpan(_superblocks).Slice(map.To, _superblocksPerSlot);

    /// <summary>Forgets everything: it has been handed to the device.</summary>
    public void Clear()
    {
        _operations.Clear();
        _superblocks.Clear();
    }

    internal void CopyPage(int from, int to) => _operations.Add(new DeviceOperation(DeviceOperationKind.CopyPage, from, to));

    internal void CopySlot(int from, int to) => _operations.Add(new DeviceOperation(DeviceOperationKind.CopySlot, from, to));

    internal void MapSlot(int slot, ReadOnlySpan<int> superblocks)
    {
        _operations.Add(new DeviceOperation(DeviceOperationKind.MapSlot, slot, _superblocks.Count));
        _superblocks.AddRange(superblocks);
    }

    internal void PoisonPage(int page) => _operations.Add(new DeviceOperation(DeviceOperationKind.PoisonPage, page, -1));

    internal void PoisonSlot(int slot) => _operations.Add(new DeviceOperation(DeviceOperationKind.PoisonSlot, slot, -1));
}
