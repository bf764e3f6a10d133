using System.Globalization;

namespace Sluice.Memory;

/// <summary>A node of memory (NUMA) and the processors that are nearest to it.</summary>
/// <param name="Id">Its number; numbers may have gaps.</param>
/// <param name="Processors">Those that the process may use, ascending.</param>
/// <param name="HasMemory">Whether there is memory in it that the process may use.</param>
public sealed record NumaNode(int Id, IReadOnlyList<int> Processors, bool HasMemory);

/// <summary>Which processors are near which memory. Only Linux is asked.</summary>
public static class NumaTopology
{
    private const string Folder = "/sys/devices/system/node";
    private const string Status = "/proc/self/status";
    private const string AllowedMemory = "Mems_allowed_list:";

    /// <summary>
    /// The nodes that have processors which the process may use (taskset, a container's cpuset), ascending; empty where the system does not tell. Memory without
    /// processors (HBM, CXL) is none of them.
    /// </summary>
    public static IReadOnlyList<NumaNode> Allowed() => OperatingSystem.IsLinux() ? Read(Folder, ThreadAffinity.Allowed(), TryRead(Status) ?? "") : [];

    /// <summary>As <see cref="Allowed"/>, from a folder such as <c>/sys/devices/system/node</c>. What cannot be read or understood is left out.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="processors">Processors that the process may use.</param>
    /// <param name="status">The process's status file; where it does not say which nodes' memory it may use, all.</param>
    internal static IReadOnlyList<NumaNode> Read(string folder, IReadOnlyCollection<int> processors, string status)
    {
        int[]? withMemory = NumberList.Parse(TryRead(Path.Combine(folder, "has_memory")));
        int[]? allowed = NumberList.Parse(status.Split('\n').FirstOrDefault(line => line.StartsWith(AllowedMemory, StringComparison.Ordinal))?[AllowedMemory.Length..]);
        List<NumaNode> nodes = [];
        foreach (int id in Ids(folder))
        {
            int[] near = NumberList.Parse(TryRead(Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"node{id}"), "cpulist"))) ?? [];
            int[] usable = [.. near.Where(processors.Contains)];
            if (usable.Length > 0)
                nodes.Add(new NumaNode(id, usable, withMemory?.Contains(id) != false && allowed?.Contains(id) != false));
        }

        return nodes;
    }

    private static int[] Ids(string folder)
    {
        try
        {
            return
            [
                .. Directory.EnumerateDirectories(folder, "node*")
                    .Select(path => int.TryParse(Path.GetFileName(path).AsSpan(4), NumberStyles.None, CultureInfo.InvariantCulture, out int id) ? id : -1)
                    .Where(id => id is >= 0 and < NumaInterleaving.MostNodes)
                    .Distinct()
                    .Order(),
            ];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static string? TryRead(string path)
    {
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
