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
}
