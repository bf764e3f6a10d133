using Sluice.Memory;

namespace Sluice.Cpu.Memory;

/// <summary>Memory an operation needs for a moment: it grows to the largest step and is then reused. Grown by the calling thread alone.</summary>
internal sealed unsafe class Scratch(string name) : IDisposable
{
    private Arena? _arena;
    private byte* _data;
    private long _bytes;

    /// <summary>At least <paramref name="count"/> elements of <typeparamref name="T"/>, 64-byte aligned, contents undefined.</summary>
    public T* Take<T>(long count)
        where T : unmanaged
    {
        long bytes = checked(count * sizeof(T));
        if (bytes > _bytes)
        {
            _arena?.Dispose();
            _bytes = Math.Max(bytes, _bytes + (_bytes / 2));
            _arena = new Arena(name, _bytes);
            _data = _arena.Allocate(_bytes);
        }

        Poison.Fill((float*)_data, bytes / sizeof(float));
        return (T*)_data;
    }

    public void Dispose() => _arena?.Dispose();
}
