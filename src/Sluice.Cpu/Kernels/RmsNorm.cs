using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>Norms of a row, or of a head of one; y may be x. <typeparamref name="T"/> has 16 lanes, which fixes the order of sums.</summary>
internal static unsafe class RmsNorm<T>
    where T : unmanaged, ISimd<T>
{
    /// <summary><c>y = x * rsqrt(mean(x^2) + epsilon) * weight</c>.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void Run(float* x, float* weight, float epsilon, float* y, int count)
    {
        T factor = T.Broadcast(1f / MathF.Sqrt((SumOfSquares(x, count) / count) + epsilon));
        int i = 0;
        for (; i + T.Lanes <= count; i += T.Lanes)
            T.Store(T.Load(x + i) * factor * T.Load(weight + i), y + i);
        if (i < count)
            Partial.Store(Partial.Load<T>(x + i, count - i) * factor * Partial.Load<T>(weight + i, count - i), y + i, count - i);
    }

    /// <summary><c>y = x * rsqrt(mean(x^2) + epsilon) * weight * silu(gate)</c>.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void RunGated(float* x, float* gate, float* weight, float epsilon, float* y, int count)
    {
        T factor = T.Broadcast(1f / MathF.Sqrt((SumOfSquares(x, count) / count) + epsilon));
        int i = 0;
        for (; i + T.Lanes <= count; i += T.Lanes)
            T.Store(T.Load(x + i) * factor * T.Load(weight + i) * VectorMath.Silu(T.Load(gate + i)), y + i);
        if (i < count)
        {
            T normed = Partial.Load<T>(x + i, count - i) * factor * Partial.Load<T>(weight + i, count - i);
            Partial.Store(normed * VectorMath.Silu(Partial.Load<T>(gate + i, count - i)), y + i, count - i);
        }
    }

    /// <summary><c>y = x * rsqrt(sum(x^2) + epsilon) * scale</c>; y is padded with zeros to a multiple of 16.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void RunL2(float* x, float epsilon, float scale, float* y, int count)
    {
        T factor = T.Broadcast(scale / MathF.Sqrt(SumOfSquares(x, count) + epsilon));
        int i = 0;
        for (; i + T.Lanes <= count; i += T.Lanes)
            T.Store(T.Load(x + i) * factor, y + i);
        if (i < count)
            T.Store(Partial.Load<T>(x + i, count - i) * factor, y + i);
    }

    [MethodImpl(Jit.Kernel)]
    private static float SumOfSquares(float* x, int count)
    {
        // Four sums, so that one addition need not wait for the one before.
        T a = T.Zero, b = T.Zero, c = T.Zero, d = T.Zero;
        int i = 0;
        for (; i + (4 * T.Lanes) <= count; i += 4 * T.Lanes)
        {
            a = AddSquare(T.Load(x + i), a);
            b = AddSquare(T.Load(x + i + T.Lanes), b);
            c = AddSquare(T.Load(x + i + (2 * T.Lanes)), c);
            d = AddSquare(T.Load(x + i + (3 * T.Lanes)), d);
        }

        for (; i + T.Lanes <= count; i += T.Lanes)
            a = AddSquare(T.Load(x + i), a);
        if (i < count)
            b = AddSquare(Partial.Load<T>(x + i, count - i), b);
        return T.Sum(a + b + (c + d));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T AddSquare(T x, T sum) => T.MultiplyAdd(x, x, sum);
}
