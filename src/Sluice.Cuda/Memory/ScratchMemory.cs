using Sluice.Cuda.Driver;

namespace Sluice.Cuda.Memory;

/// <summary>Memory for what lives within an operation. It grows at the first steps only, never while a graph is recorded.</summary>
internal sealed class ScratchMemory(string purpose, CudaStream stream) : IDisposable
{
    private DeviceMemory? _memory;

    /// <summary>Memory of at least so many bytes, garbage; valid until more is asked for.</summary>
    public ulong Take(long bytes)
    {
        if (_memory is null || _memory.Bytes < bytes)
        {
            stream.Synchronise("growing scratch memory");
            _memory?.Dispose();
            _memory = new DeviceMemory(bytes, purpose);
        }

        return _memory.Address;
    }

    /// <inheritdoc/>
    public void Dispose() => _memory?.Dispose();
}
