using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Memory;

/// <summary>
/// Memory for instructions made at run time: written first, then made executable and read-only, never both at once. It stays until
/// the process ends, since nobody can know when the last thread has left it.
/// </summary>
public static unsafe class ExecutableMemory
{
    /// <summary>Makes pages executable: 0 where that was possible. Tests put a refusal here, which a hardened system would give.</summary>
    internal static ProtectCall Protect { get; set; } = Posix.Protect;

    /// <summary>As mprotect.</summary>
    internal delegate int ProtectCall(void* address, nuint length, int protection);

    /// <summary>Copies <paramref name="instructions"/> into memory of their own and returns where they start, page-aligned.</summary>
    /// <exception cref="BackendException">The system, or how it is hardened, does not allow it.</exception>
    public static byte* Load(ReadOnlySpan<byte> instructions)
    {
        nuint length = (nuint)Math.Max(1, instructions.Length);
        if (OperatingSystem.IsLinux())
        {
            void* memory = Posix.Map(null, length, Posix.ProtRead | Posix.ProtWrite, Posix.MapPrivate | Posix.MapAnonymous, -1, 0);
            if (memory == Posix.MapFailed)
                throw Refused();
            instructions.CopyTo(new Span<byte>(memory, instructions.Length));
            if (Protect(memory, length, Posix.ProtRead | Posix.ProtExecute) == 0)
                return (byte*)memory;
            BackendException refusal = Refused();
            _ = Posix.Unmap(memory, length);
            throw refusal;
        }

        if (!OperatingSystem.IsWindows())
            throw new BackendException("memory cannot be made executable on this system");
        void* pages = WindowsMemory.Allocate(null, length, WindowsMemory.CommitAndReserve, WindowsMemory.PageReadWrite);
        if (pages == null)
            throw Refused();
        instructions.CopyTo(new Span<byte>(pages, instructions.Length));
        if (WindowsMemory.Protect(pages, length, WindowsMemory.PageExecuteRead, out _) == 0)
            throw Refused();
        _ = WindowsMemory.FlushInstructions(WindowsMemory.CurrentProcess(), pages, length);
        return (byte*)pages;
    }

    private static BackendException Refused() =>
        new($"memory cannot be made executable: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");
}
