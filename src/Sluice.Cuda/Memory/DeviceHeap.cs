using Sluice.Cuda.Driver;

namespace Sluice.Cuda.Memory;

/// <summary>
/// Memory for weights and activations: large blocks handed out in pieces of 256 bytes and more, given back all at once. Thread safe.
/// </summary>
internal sealed class DeviceHeap : IDisposable
{
    private const long BlockBytes = 64L << 20;
    private const ulong Alignment = 256;

    private readonly Lock _lock = new();
    private readonly List<DeviceMemory> _blocks = [];
    private ulong _next;
    private ulong _end;

    /// <summary>Bytes taken from the card.</summary>
    public long Bytes { get; private set; }

    /// <summary>Hands out garbage, aligned to 256 bytes.</summary>
    public ulong Allocate(long bytes, string purpose)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        lock (_lock)
        {
            ulong size = (ulong)checked((bytes + (long)Alignment - 1) / (long)Alignment * (long)Alignment);
            if (size > BlockBytes / 4)
                return Take((long)size, purpose).Address;
            if (_end - _next < size)
            {
                DeviceMemory block = Take(BlockBytes, purpose);
                _next = block.Address;
                _end = _next + (ulong)block.Bytes;
            }

            ulong start = _next;
            _next += size;
            return start;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (DeviceMemory block in _blocks)
            block.Dispose();
        _blocks.Clear();
    }

    private DeviceMemory Take(long bytes, string purpose)
    {
        DeviceMemory block = new(bytes, purpose);
        _blocks.Add(block);
        Bytes += bytes;
        return block;
    }
}
