using System.Buffers.Text;

namespace Sluice.Memory;

/// <summary>What the machine has left.</summary>
public static class SystemMemory
{
    /// <summary>
    /// Bytes that can be allocated without swapping: <c>MemAvailable</c> on Linux, elsewhere what the collector believes the
    /// process may still have. <see cref="long.MaxValue"/> when nobody knows.
    /// </summary>
    public static long AvailableBytes()
    {
        if (OperatingSystem.IsLinux() && ReadMemAvailable() is long linux)
            return linux;

        GCMemoryInfo info = GC.GetGCMemoryInfo();
        return info.TotalAvailableMemoryBytes > 0
            ? Math.Max(0, info.TotalAvailableMemoryBytes - info.MemoryLoadBytes)
            : long.MaxValue;
    }

    private static long? ReadMemAvailable()
    {
        try
        {
            Span<byte> text = stackalloc byte[4096];
            using var file = File.OpenHandle("/proc/meminfo");
            text = text[..RandomAccess.Read(file, text, 0)];
            ReadOnlySpan<byte> label = "MemAvailable:"u8;
            int at = text.IndexOf(label);
            if (at < 0)
                return null;
            ReadOnlySpan<byte> number = text[(at + label.Length)..].TrimStart((byte)' ');
            return Utf8Parser.TryParse(number, out long kibibytes, out _) ? checked(kibibytes * 1024) : null;
        }
        catch (IOException)
        {
            return null;
        }
        catch (UnauthorizedAccessException)
        {
            return null;
        }
    }
}
