using System.Globalization;
using Sluice.Core;

namespace Sluice.Cuda.Driver;

/// <summary>A block of the card's memory.</summary>
internal sealed unsafe class DeviceMemory : IDisposable
{
    /// <summary>Allocates; contents are garbage.</summary>
    /// <exception cref="BackendException">The card has too little.</exception>
    public DeviceMemory(long bytes, string purpose)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        Bytes = bytes;
        ulong address;
        string what = string.Create(CultureInfo.InvariantCulture, $"allocating {Math.Max(bytes, 1) / 1048576.0:N1} MiB for {purpose}");
        CudaStatus.Check(DriverApi.MemoryAllocate(&address, (nuint)Math.Max(bytes, 16)), what);
        Address = address;
    }

    public ulong Address { get; }

    public long Bytes { get; }

    /// <summary>Fills with a 32-bit pattern; in the order of <paramref name="stream"/>.</summary>
    public void Fill(uint pattern, CudaStream stream) =>
        CudaStatus.Check(DriverApi.Fill(Address, pattern, (nuint)(Bytes / sizeof(uint)), stream.Handle), "filling memory");

    /// <inheritdoc/>
    public void Dispose() => _ = DriverApi.MemoryFree(Address);
}

/// <summary>Host memory that the card reads and writes directly, so that copies need not wait.</summary>
internal sealed unsafe class PinnedMemory : IDisposable
{
    public PinnedMemory(long bytes)
    {
        void* address;
        CudaStatus.Check(DriverApi.HostAllocate(&address, (nuint)bytes, 0), $"allocating {bytes} bytes of pinned memory");
        Address = (byte*)address;
        Bytes = bytes;
    }

    public byte* Address { get; }

    public long Bytes { get; }

    /// <inheritdoc/>
    public void Dispose() => _ = DriverApi.HostFree(Address);
}
