using System.Runtime.InteropServices;

namespace Sluice.Memory;

/// <summary>The few calls of Windows for memory that holds instructions.</summary>
internal static unsafe partial class WindowsMemory
{
    internal const uint CommitAndReserve = 0x3000;
    internal const uint PageReadWrite = 0x04;
    internal const uint PageExecuteRead = 0x20;

    [LibraryImport("kernel32", EntryPoint = "VirtualAlloc", SetLastError = true)]
    internal static partial void* Allocate(void* address, nuint length, uint kind, uint protection);

    [LibraryImport("kernel32", EntryPoint = "VirtualProtect", SetLastError = true)]
    internal static partial int Protect(void* address, nuint length, uint protection, out uint before);

    [LibraryImport("kernel32", EntryPoint = "FlushInstructionCache", SetLastError = true)]
    internal static partial int FlushInstructions(nint process, void* address, nuint length);

    [LibraryImport("kernel32", EntryPoint = "GetCurrentProcess")]
    internal static partial nint CurrentProcess();
}
