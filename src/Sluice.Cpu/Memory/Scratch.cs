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
            long grown = Math.Max(bytes, _bytes + (_bytes / 2));
            Dispose();
            _arena = new Arena(name, grown);
            _data = _arena.Allocate(grown);
            _bytes = grown;
        }

        Poison.Fill((float*)_data, bytes / sizeof(float));
        return (T*)_data;
    }

    /// <summary>Gives the memory back; what is refused when it is to grow leaves none, not what was there before.</summary>
    public void Dispose()
    {
        _arena?.Dispose();
        (_arena, _bytes) = (null, 0);
        _data = null;
    }
}
