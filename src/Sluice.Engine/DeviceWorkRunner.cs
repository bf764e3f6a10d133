using Sluice.Backends;
using Sluice.Caching.Memory;

namespace Sluice.Engine;

/// <summary>Has the device do what the cache noted: copies, tables of slots, poisoning.</summary>
internal static class DeviceWorkRunner
{
    /// <summary>Runs all of <paramref name="work"/> in order, and clears it.</summary>
    public static void Run(DeviceWork work, CacheArena arena)
    {
        foreach (DeviceOperation operation in work.Operations)
        {
            switch (operation.Kind)
            {
                case DeviceOperationKind.CopyPage:
                    arena.CopyPage(operation.From, operation.To);
                    break;
                case DeviceOperationKind.CopySlot:
                    arena.CopySlot(operation.From, operation.To);
                    break;
                case DeviceOperationKind.MapSlot:
                    arena.MapSlot(operation.From, work.Superblocks(operation));
                    break;
                case DeviceOperationKind.PoisonPage:
                    arena.PoisonPage(operation.From);
                    break;
                case DeviceOperationKind.PoisonSlot:
                    arena.PoisonSlot(operation.From);
                    break;
                default:
                    throw new InvalidOperationException($"the device knows no {operation.Kind}");
            }
        }

        work.Clear();
    }
}
