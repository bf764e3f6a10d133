using System.Globalization;

namespace Sluice.Memory;

/// <summary>What memory there is and what is left of it.</summary>
public static class SystemMemory
{
    private const string ControlGroups = "/sys/fs/cgroup";

    private static readonly Lazy<long> Total = new(ReadTotal);

    /// <summary>
    /// Bytes this process may ever have: the machine's, or less if a container's limit says so. Elsewhere than on Linux, what the
    /// collector believes.
    /// </summary>
    public static long TotalBytes => Total.Value;

    /// <summary>
    /// Bytes that can be allocated without swapping: <c>MemAvailable</c> on Linux, elsewhere what the collector believes the
    /// process may still have.
    /// </summary>
    public static long AvailableBytes()
    {
        if (MemInfo("MemAvailable:") is long available)
            return available;

        GCMemoryInfo info = GC.GetGCMemoryInfo();
        return Math.Max(0, info.TotalAvailableMemoryBytes - info.MemoryLoadBytes);
    }

    private static long ReadTotal()
    {
        if (MemInfo("MemTotal:") is not long total)
            return GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

        // Not the collector's figure: in a container that is three quarters of the limit, and weights are not on its heap.
        long limit = ReadNumber(ControlGroups + "/memory/memory.limit_in_bytes") ?? long.MaxValue;
        for (string? group = OwnControlGroup(); group is not null; group = Path.GetDirectoryName(group))
        {
            limit = Math.Min(limit, ReadNumber(Path.Combine(ControlGroups, group.TrimStart('/'), "memory.max")) ?? long.MaxValue);
        }

        return Math.Min(total, limit);
    }

    /// <summary>The path of this process's group in the unified hierarchy, for example <c>/system.slice/sluice.service</c>.</summary>
    private static string? OwnControlGroup()
    {
        foreach (string line in Read("/proc/self/cgroup")?.Split('\n') ?? [])
        {
            if (line.StartsWith("0::/", StringComparison.Ordinal))
                return line[3..];
        }

        return null;
    }

    private static long? ReadNumber(string path) =>
        long.TryParse(Read(path)?.TrimEnd(), NumberStyles.None, null, out long number) ? number : null;

    private static long? MemInfo(string label)
    {
        if (Read("/proc/meminfo") is not { } text)
            return null;

        // A line is "MemTotal:       24576000 kB".
        int at = text.IndexOf(label, StringComparison.Ordinal);
        if (at < 0)
            return null;
        ReadOnlySpan<char> number = text.AsSpan(at + label.Length).TrimStart(' ');
        int end = number.IndexOf(' ');
        return long.TryParse(end < 0 ? number : number[..end], NumberStyles.None, null, out long kibibytes) ? checked(kibibytes * 1024) : null;
    }

    private static string? Read(string path)
    {
        if (!OperatingSystem.IsLinux())
            return null;
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
