using System.Globalization;
using System.Runtime.InteropServices;

namespace Sluice.Memory.Tests;

/// <summary>Memory for instructions runs, and cannot be written any more.</summary>
public sealed unsafe class ExecutableMemoryTests
{
    [Fact]
    public void Instructions_run()
    {
        Assert.SkipUnless(
            (OperatingSystem.IsLinux() || OperatingSystem.IsWindows()) && RuntimeInformation.ProcessArchitecture == Architecture.X64, "not on this system");
        byte* at = ExecutableMemory.Load([0xB8, 42, 0, 0, 0, 0xC3]); // mov eax, 42; ret
        Assert.Equal(42, ((delegate* unmanaged<int>)at)());
        Assert.Equal(0, (nint)at % 4096);
    }

    [Fact]
    public void What_can_be_executed_cannot_be_written()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "/proc tells");
        ulong at = (ulong)ExecutableMemory.Load([0xC3]);
        string line = File.ReadLines("/proc/self/maps").Single(map =>
        {
            ulong[] range = [.. map.Split(' ')[0].Split('-').Select(end => ulong.Parse(end, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
            return range[0] <= at && at < range[1];
        });
        Assert.Equal("r-xp", line.Split(' ')[1]);
    }
}
