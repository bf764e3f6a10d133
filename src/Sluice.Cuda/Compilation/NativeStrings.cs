using System.Runtime.InteropServices;
using System.Text;

namespace Sluice.Cuda.Compilation;

/// <summary>Zero-terminated strings for a native call, freed together.</summary>
internal sealed unsafe class NativeStrings : IDisposable
{
    private readonly List<nint> _blocks = [];

    public byte* One(string text)
    {
        int length = Encoding.UTF8.GetByteCount(text);
        byte* start = (byte*)Take((nuint)length + 1);
        _ = Encoding.UTF8.GetBytes(text, new Span<byte>(start, length));
        start[length] = 0;
        return start;
    }

    public byte** Array(string[] texts)
    {
        byte** array = (byte**)Take((nuint)(texts.Length + 1) * (nuint)sizeof(byte*));
        for (int i = 0; i < texts.Length; i++)
            array[i] = One(texts[i]);
        return array;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (nint block in _blocks)
            NativeMemory.Free((void*)block);
        _blocks.Clear();
    }

    private void* Take(nuint bytes)
    {
        void* block = NativeMemory.Alloc(bytes);
        _blocks.Add((nint)block);
        return block;
    }
}
