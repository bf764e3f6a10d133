namespace Sluice.Cpu.Threading;

/// <summary>What processors the process may use.</summary>
internal static class ProcessorTopology
{
    /// <summary>
    /// Physical cores, as many as the process may use: two hardware threads of one core share its multiply-add units and its path to
    /// memory, so a second one is no gain. Where the system does not tell, logical processors.
    /// </summary>
    public static int PhysicalCores()
    {
        int logical = Environment.ProcessorCount;
        if (!OperatingSystem.IsLinux())
            return logical;
        try
        {
            HashSet<string> cores = [];
            foreach (string cpu in Directory.EnumerateDirectories("/sys/devices/system/cpu", "cpu*"))
            {
                string siblings = Path.Combine(cpu, "topology", "thread_siblings_list");
                if (File.Exists(siblings))
                    cores.Add(File.ReadAllText(siblings).Trim());
            }

            return cores.Count == 0 ? logical : Math.Min(logical, cores.Count);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return logical;
        }
    }
}
