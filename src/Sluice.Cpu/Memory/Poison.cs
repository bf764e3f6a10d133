using System.Diagnostics;

namespace Sluice.Cpu.Memory;

/// <summary>Debug builds fill memory that nobody may read yet, or any more, with NaN.</summary>
internal static unsafe class Poison
{
    [Conditional("DEBUG")]
    public static void Fill(float* data, long length)
    {
        for (long i = 0; i < length;)
        {
            int count = (int)Math.Min(length - i, 1 << 28);
            new Span<float>(data + i, count).Fill(float.NaN);
            i += count;
        }
    }

    /// <summary>The same for memory of any type.</summary>
    [Conditional("DEBUG")]
    public static void Fill(byte* data, long bytes) => Overwrite(data, bytes);

    /// <summary>Fills memory with ones, in any build: as float32 and as bfloat16 that is NaN everywhere.</summary>
    public static void Overwrite(void* data, long bytes)
    {
        for (long i = 0; i < bytes;)
        {
            int count = (int)Math.Min(bytes - i, 1 << 30);
            new Span<byte>((byte*)data + i, count).Fill(0xFF);
            i += count;
        }
    }
}
