using System.Globalization;
using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Memory;

/// <summary>One zeroed stretch of native memory, aligned to and a multiple of 2 MiB; a small one, of the system's pages.</summary>
internal readonly unsafe struct NativeBlock
{
    /// <summary>A huge page on x86-64, and on Arm64 with 4 KiB pages.</summary>
    internal const long HugePage = 2L << 20;

    /// <summary>The most one request may ask for: no machine has it, and sums with it cannot overflow.</summary>
    internal const long MaxBytes = 1L << 46;

    /// <summary>The most that takes ordinary pages: a huge one would be eight times as large, and all of it resident.</summary>
    internal const long SmallBytes = 256L << 10;

    private NativeBlock(byte* start, long bytes)
    {
        Start = start;
        Bytes = bytes;
    }

    internal byte* Start { get; }

    internal long Bytes { get; }

    internal static long RoundUp(long bytes)
    {
        long page = PageOf(bytes);
        return checked(bytes + page - 1) & -page;
    }

    internal static NativeBlock Allocate(string purpose, long bytes, NumaInterleaving? interleaving = null)
    {
        long size = RoundUp(bytes);
        RefuseWhatCannotFit(purpose, size);
        return OperatingSystem.IsLinux() ? Map(purpose, size, interleaving) : AllocateAligned(purpose, size);
    }

    internal void Free()
    {
        if (OperatingSystem.IsLinux())
            _ = Posix.Unmap(Start, (nuint)Bytes);
        else
            NativeMemory.AlignedFree(Start);
    }

    internal static BackendException OutOfMemory(string purpose, long bytes, string why, Exception? inner = null) =>
        new(string.Create(CultureInfo.InvariantCulture, $"cannot allocate {Mebibytes(bytes)} MiB for {purpose}: {why}"), inner);

    /// <summary>
    /// Linux promises memory it does not have and kills a process that touches it, so a request that cannot be met is refused
    /// here: what all arenas together would take must fit in the machine's (or the container's) memory, and what this one asks
    /// for in what is free now.
    /// </summary>
    private static void RefuseWhatCannotFit(string purpose, long bytes)
    {
        long total = SystemMemory.TotalBytes;
        long reserved = ArenaRegistry.TotalReservedBytes;
        if (reserved + bytes > total)
        {
            throw OutOfMemory(purpose, bytes, string.Create(
                CultureInfo.InvariantCulture, $"{Mebibytes(reserved)} MiB are in use and this machine has {Mebibytes(total)} MiB"));
        }

        long available = SystemMemory.AvailableBytes();
        if (bytes > available)
        {
            throw OutOfMemory(purpose, bytes, string.Create(
                CultureInfo.InvariantCulture, $"{Mebibytes(available)} MiB of memory are free"));
        }
    }

    private static NativeBlock Map(string purpose, long bytes, NumaInterleaving? interleaving)
    {
        // Mapped with room to spare, then trimmed: mmap itself aligns to 4 KiB only.
        bool small = bytes <= SmallBytes;
        nuint mapped = (nuint)(small ? bytes : bytes + HugePage);
        void* address = Posix.Map(null, mapped, Posix.ProtRead | Posix.ProtWrite, Posix.MapPrivate | Posix.MapAnonymous, -1, 0);
        if (address == Posix.MapFailed)
            throw OutOfMemory(purpose, bytes, Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError()));

        if (small)
            return new NativeBlock((byte*)address, bytes);
        byte* start = (byte*)(((nuint)address + (nuint)HugePage - 1) & ~(nuint)(HugePage - 1));
        nuint before = (nuint)(start - (byte*)address);
        nuint after = mapped - before - (nuint)bytes;
        if (before > 0)
            _ = Posix.Unmap(address, before);
        if (after > 0)
            _ = Posix.Unmap(start + bytes, after);

        // A refusal only costs speed: small pages serve as well, and so do those of one node.
        _ = Posix.Advise(start, (nuint)bytes, Posix.AdviseHugePage);
        _ = interleaving?.TryApply(start, (nuint)bytes);
        return new NativeBlock(start, bytes);
    }

    private static NativeBlock AllocateAligned(string purpose, long bytes)
    {
        try
        {
            void* start = NativeMemory.AlignedAlloc((nuint)bytes, (nuint)PageOf(bytes));
            NativeMemory.Clear(start, (nuint)bytes);
            return new NativeBlock((byte*)start, bytes);
        }
        catch (OutOfMemoryException e)
        {
            throw OutOfMemory(purpose, bytes, "the system has none left", e);
        }
    }

    private static long PageOf(long bytes) => bytes <= SmallBytes ? Environment.SystemPageSize : HugePage;

    private static long Mebibytes(long bytes) => (bytes + (1 << 20) - 1) >> 20;
}
