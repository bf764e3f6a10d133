using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>What is done to a row element by element.</summary>
internal static unsafe class Elementwise<T>
    where T : unmanaged, ISimd<T>
{
    /// <summary><c>y += x</c>.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void Add(float* x, float* y, int count)
    {
        int i = 0;
        for (; i + T.Lanes <= count; i += T.Lanes)
            T.Store(T.Load(y + i) + T.Load(x + i), y + i);
        if (i < count)
            Partial.Store(Partial.Load<T>(y + i, count - i) + Partial.Load<T>(x + i, count - i), y + i, count - i);
    }

    /// <summary><c>y += factor * x</c>.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void AddScaled(float* x, float factor, float* y, int count)
    {
        T scale = T.Broadcast(factor);
        int i = 0;
        for (; i + T.Lanes <= count; i += T.Lanes)
            T.Store(T.MultiplyAdd(scale, T.Load(x + i), T.Load(y + i)), y + i);
        if (i < count)
            Partial.Store(T.MultiplyAdd(scale, Partial.Load<T>(x + i, count - i), Partial.Load<T>(y + i, count - i)), y + i, count - i);
    }

    /// <summary><c>y = silu(gate) * up</c>.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void SwiGlu(float* gate, float* up, float* y, int count)
    {
        int i = 0;
        for (; i + T.Lanes <= count; i += T.Lanes)
            T.Store(VectorMath.Silu(T.Load(gate + i)) * T.Load(up + i), y + i);
        if (i < count)
            Partial.Store(VectorMath.Silu(Partial.Load<T>(gate + i, count - i)) * Partial.Load<T>(up + i, count - i), y + i, count - i);
    }

    /// <summary><c>1 / (1 + e^-x)</c> of one number, as every lane computes it.</summary>
    public static float Sigmoid(float x)
    {
        float result;
        Partial.Store(VectorMath.Sigmoid(T.Broadcast(x)), &result, 1);
        return result;
    }
}
