using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// Causal depthwise convolution and SiLU of one token: <c>y[c] = silu(sum over taps j of w[j, c] * inputs[j][c])</c>, oldest input first.
/// </summary>
internal static unsafe class CausalConv<T>
    where T : unmanaged, ISimd<T>
{
    /// <param name="inputs">The token's input and those before it, oldest first, one pointer for each tap.</param>
    /// <param name="taps">Taps.</param>
    /// <param name="weight">[taps, channels].</param>
    /// <param name="channels">Floats from one tap's weights to the next.</param>
    /// <param name="first">First channel.</param>
    /// <param name="end">Channel after the last.</param>
    /// <param name="y">The result.</param>
    [MethodImpl(Jit.Kernel)]
    public static void Run(float** inputs, int taps, float* weight, int channels, int first, int end, float* y)
    {
        int c = first;
        for (; c + T.Lanes <= end; c += T.Lanes)
        {
            T sum = T.Load(weight + c) * T.Load(inputs[0] + c);
            for (int j = 1; j < taps; j++)
                sum = T.MultiplyAdd(T.Load(weight + ((nint)j * channels) + c), T.Load(inputs[j] + c), sum);
            T.Store(VectorMath.Silu(sum), y + c);
        }

        if (c < end)
        {
            int count = end - c;
            T sum = Partial.Load<T>(weight + c, count) * Partial.Load<T>(inputs[0] + c, count);
            for (int j = 1; j < taps; j++)
                sum = T.MultiplyAdd(Partial.Load<T>(weight + ((nint)j * channels) + c, count), Partial.Load<T>(inputs[j] + c, count), sum);
            Partial.Store(VectorMath.Silu(sum), y + c, count);
        }
    }
}
