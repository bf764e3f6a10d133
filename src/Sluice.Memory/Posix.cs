using System.Runtime.InteropServices;

namespace Sluice.Memory;

/// <summary>The few calls of the C library that .NET does not expose. Constants are those of 64-bit Linux (x86-64 and Arm64).</summary>
internal static unsafe partial class Posix
{
    internal const int ProtRead = 1;
    internal const int ProtWrite = 2;
    internal const int ProtExecute = 4;
    internal const int MapPrivate = 0x02;
    internal const int MapAnonymous = 0x20;
    internal const int AdviseSequential = 2;
    internal const int AdviseWillNeed = 3;
    internal const int AdviseDontNeed = 4;
    internal const int AdviseHugePage = 14;
    internal const int AdvisePopulateWrite = 23;
    internal const int FadviseDontNeed = 4;
    internal const int OpenReadOnly = 0;
    internal const int OpenNonBlocking = 0x800;
    internal const int OpenCloseOnExec = 0x80000;
    internal const int MemoryDefault = 0;
    internal const int MemoryInterleave = 3;
    internal const int MemoryOfAddress = 2;

    internal static readonly void* MapFailed = (void*)-1;

    private static readonly bool IsArm = RuntimeInformation.ProcessArchitecture == Architecture.Arm64;

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    internal static partial void* Map(void* address, nuint length, int protection, int flags, int file, long offset);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    internal static partial int Protect(void* address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    internal static partial int Unmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    internal static partial int Advise(void* address, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    internal static partial int AdviseFile(int file, long offset, long length, int advice);

    [LibraryImport("libc", EntryPoint = "sched_getaffinity", SetLastError = true)]
    internal static partial int GetAffinity(int thread, nuint bytes, ulong* mask);

    [LibraryImport("libc", EntryPoint = "sched_setaffinity", SetLastError = true)]
    internal static partial int SetAffinity(int thread, nuint bytes, ulong* mask);

    /// <summary>A system call that the C library has no function for: numbers are the processor's.</summary>
    [LibraryImport("libc", EntryPoint = "syscall")]
    internal static partial nint SystemCall(nint number, nint first, nint second);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(nint number, nint first, nint second, nint third, nint fourth, nint fifth, nint sixth);

    /// <summary>As mbind of libnuma, which is seldom installed.</summary>
    internal static nint BindMemory(void* start, nuint bytes, int mode, ulong* nodes, int bits, int flags) =>
        SystemCall(IsArm ? 235 : 237, (nint)start, (nint)bytes, mode, (nint)nodes, bits, flags);

    /// <summary>As get_mempolicy of libnuma.</summary>
    internal static nint GetMemoryPolicy(int* mode, ulong* nodes, int bits, void* address, int flags) =>
        SystemCall(IsArm ? 236 : 239, (nint)mode, (nint)nodes, bits, (nint)address, flags, 0);

    [LibraryImport("libc", EntryPoint = "gettid")]
    internal static partial int ThreadId();

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Open(string path, int flags);
}
