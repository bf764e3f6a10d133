using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// Rotary position embedding of one head in the rotate-half form: elements i and half + i turn by the angle of i; what lies beyond
/// 2 * half stays.
/// </summary>
internal static unsafe class Rotary<T>
    where T : unmanaged, ISimd<T>
{
    /// <param name="head">The head, turned in place.</param>
    /// <param name="cos">Cosines of the position, [half].</param>
    /// <param name="sin">Sines of the position, [half].</param>
    /// <param name="half">Half of the elements that turn.</param>
    [MethodImpl(Jit.Kernel)]
    public static void Run(float* head, float* cos, float* sin, int half)
    {
        int i = 0;
        for (; i + T.Lanes <= half; i += T.Lanes)
        {
            (T x, T y) = Turn(T.Load(head + i), T.Load(head + half + i), T.Load(cos + i), T.Load(sin + i));
            T.Store(x, head + i);
            T.Store(y, head + half + i);
        }

        if (i < half)
        {
            int count = half - i;
            (T x, T y) = Turn(
                Partial.Load<T>(head + i, count), Partial.Load<T>(head + half + i, count),
                Partial.Load<T>(cos + i, count), Partial.Load<T>(sin + i, count));
            Partial.Store(x, head + i, count);
            Partial.Store(y, head + half + i, count);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (T X, T Y) Turn(T x, T y, T cos, T sin) =>
        (T.MultiplyAdd(x, cos, T.Zero - (y * sin)), T.MultiplyAdd(y, cos, x * sin));
}
