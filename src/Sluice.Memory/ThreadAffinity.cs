using System.Globalization;

namespace Sluice.Memory;

/// <summary>
/// On which processors threads may run. Only Linux is asked: elsewhere nothing is known, and nothing is bound. What the process may not use (taskset, a
/// container's cpuset) is never chosen.
/// </summary>
public static unsafe class ThreadAffinity
{
    // 8,192 processors, as many as kernels are built for.
    private const int MaskWords = 128;

    private const string Processors = "/sys/devices/system/cpu";

    /// <summary>Whether the calling thread is the one the process began with, whose processors all threads that are started later inherit.</summary>
    public static bool IsMainThread => OperatingSystem.IsLinux() && Posix.ThreadId() == Environment.ProcessId;

    /// <summary>The processors that the process may use, as far as its first thread shows it, ascending; empty where the system does not tell.</summary>
    public static int[] Allowed()
    {
        if (!OperatingSystem.IsLinux())
            return [];
        ulong* mask = stackalloc ulong[MaskWords];
        new Span<ulong>(mask, MaskWords).Clear();
        if (Posix.GetAffinity(Environment.ProcessId, MaskWords * sizeof(ulong), mask) != 0)
            return [];
        List<int> allowed = [];
        for (int processor = 0; processor < MaskWords * 64; processor++)
        {
            if ((mask[processor / 64] >> (processor % 64) & 1) != 0)
                allowed.Add(processor);
        }

        return [.. allowed];
    }

    /// <summary>One of each core's processors, of those that the process may use: two of one core share what computes.</summary>
    public static int[] AllowedCores() => CoresOf(Allowed(), processor =>
    {
        try
        {
            return File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"{Processors}/cpu{processor}/topology/thread_siblings_list")).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    });

    /// <summary>Binds the calling thread to some processors; false where that is not possible, and the thread runs wherever it did.</summary>
    public static bool TryBind(params IReadOnlyList<int> processors)
    {
        ArgumentNullException.ThrowIfNull(processors);
        ulong* mask = stackalloc ulong[MaskWords];
        new Span<ulong>(mask, MaskWords).Clear();
        foreach (int processor in processors)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)processor, (uint)(MaskWords * 64), nameof(processors));
            mask[processor / 64] |= 1UL << (processor % 64);
        }

        if (!OperatingSystem.IsLinux() || processors.Except(Allowed()).Any())
            return false;
        return Posix.SetAffinity(0, MaskWords * sizeof(ulong), mask) == 0;
    }

    /// <summary>The first processor of each core; a processor whose siblings are not known counts as a core.</summary>
    internal static int[] CoresOf(int[] processors, Func<int, string?> siblingsOf)
    {
        HashSet<string> seen = new(StringComparer.Ordinal);
        return [.. processors.Where(processor => seen.Add(siblingsOf(processor) ?? processor.ToString(CultureInfo.InvariantCulture)))];
    }
}
