using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>Loops that do one thing only, as fast as the processor can: what real kernels are measured against.</summary>
internal static unsafe class Limits<T>
    where T : unmanaged, ISimd<T>
{
    /// <summary>Reads; <paramref name="count"/> is a multiple of 128.</summary>
    [MethodImpl(Jit.Kernel)]
    public static float Sum(float* data, int count)
    {
        T a = T.Zero, b = T.Zero, c = T.Zero, d = T.Zero;
        for (nint i = 0; i < count; i += 4 * T.Lanes)
        {
            a += T.Load(data + i);
            b += T.Load(data + i + T.Lanes);
            c += T.Load(data + i + (2 * T.Lanes));
            d += T.Load(data + i + (3 * T.Lanes));
        }

        return T.Sum(a + b + (c + d));
    }

    /// <summary>Twelve chains of multiply-adds in registers; returns how many multiply-adds that was.</summary>
    [MethodImpl(Jit.Kernel)]
    public static double MultiplyAdds(int rounds, out float result)
    {
        T x = T.Broadcast(0.5f), y = T.Broadcast(0.25f);
        T a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (int round = 0; round < rounds; round++)
        {
            a = T.MultiplyAdd(a, x, y);
            b = T.MultiplyAdd(b, x, y);
            c = T.MultiplyAdd(c, x, y);
            d = T.MultiplyAdd(d, x, y);
            e = T.MultiplyAdd(e, x, y);
            f = T.MultiplyAdd(f, x, y);
            g = T.MultiplyAdd(g, x, y);
            h = T.MultiplyAdd(h, x, y);
            i = T.MultiplyAdd(i, x, y);
            j = T.MultiplyAdd(j, x, y);
            k = T.MultiplyAdd(k, x, y);
            l = T.MultiplyAdd(l, x, y);
        }

        result = T.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
        return 12.0 * T.Lanes * rounds;
    }
}
