using System.Collections.Concurrent;

namespace Sluice.Memory;

/// <summary>An arena that is still out: what it holds, which member created it, and how much it has taken.</summary>
public sealed record ArenaInfo(string Name, string Owner, long ReservedBytes);

/// <summary>Every arena of the process. Arenas are few and long-lived, so the table is always kept.</summary>
internal static class ArenaRegistry
{
    private static readonly ConcurrentDictionary<long, Entry> Entries = new();
    private static long _nextId;
    private static long _totalReserved;

    /// <summary>Bytes all arenas together have taken.</summary>
    internal static long TotalReservedBytes => Interlocked.Read(ref _totalReserved);

    internal static Entry Add(string name, string owner)
    {
        var entry = new Entry(Interlocked.Increment(ref _nextId), name, owner);
        Entries[entry.Id] = entry;
        return entry;
    }

    internal static void Remove(Entry entry)
    {
        if (Entries.TryRemove(entry.Id, out _))
            Interlocked.Add(ref _totalReserved, -entry.ReservedBytes);
    }

    internal static IReadOnlyList<ArenaInfo> Snapshot() =>
        [.. Entries.Values.OrderBy(entry => entry.Id).Select(entry => new ArenaInfo(entry.Name, entry.Owner, entry.ReservedBytes))];

    internal sealed class Entry(long id, string name, string owner)
    {
        private long _reserved;

        internal long Id => id;

        internal string Name => name;

        internal string Owner => owner;

        internal long ReservedBytes => Interlocked.Read(ref _reserved);

        internal void Grow(long bytes)
        {
            Interlocked.Add(ref _reserved, bytes);
            Interlocked.Add(ref _totalReserved, bytes);
        }
    }
}
