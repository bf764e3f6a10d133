using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// A row's experts: the k largest logits, largest first, equal ones by lower index, weighted with their probabilities under a softmax
/// over all. Logits are compared, not probabilities: they order alike, and rounding cannot merge them.
/// </summary>
internal static unsafe class Router<T>
    where T : unmanaged, ISimd<T>
{
    /// <param name="logits">[experts]; used up. A NaN counts as minus infinity, so that k different experts are found whatever comes.</param>
    /// <param name="count">Experts.</param>
    /// <param name="topK">Experts to choose.</param>
    /// <param name="normalise">Whether the weights are scaled to sum to one.</param>
    /// <param name="chosen">The result, [topK].</param>
    /// <param name="weights">The result, [topK].</param>
    [MethodImpl(Jit.Kernel)]
    public static void Run(float* logits, int count, int topK, bool normalise, int* chosen, float* weights)
    {
        // Experts already chosen become NaN, which no comparison finds.
        for (int i = 0; i < count; i++)
            logits[i] = float.IsNaN(logits[i]) ? float.NegativeInfinity : logits[i];
        float largest = Largest(logits, count);
        float all = SumOfExp(logits, count, largest);
        float sum = 0;
        for (int k = 0; k < topK; k++)
        {
            float value = k == 0 ? largest : Largest(logits, count);
            int expert = IndexOf(logits, count, value);
            float result;
            Partial.Store(VectorMath.Exp(T.Broadcast(value - largest)), &result, 1);
            chosen[k] = expert;
            weights[k] = result / all;
            sum += weights[k];
            logits[expert] = float.NaN;
        }

        for (int k = 0; normalise && k < topK; k++)
            weights[k] /= sum;
    }

    private static float Largest(float* x, int count)
    {
        T largest = T.Broadcast(float.NegativeInfinity);
        int i = 0;
        for (; i + T.Lanes <= count; i += T.Lanes)
            largest = T.SelectLess(largest, T.Load(x + i), T.Load(x + i), largest);
        float result = T.Largest(largest);
        for (; i < count; i++)
            result = x[i] > result ? x[i] : result;
        return result;
    }

    private static float SumOfExp(float* x, int count, float largest)
    {
        T shift = T.Broadcast(largest);
        T sum = T.Zero;
        int i = 0;
        for (; i + T.Lanes <= count; i += T.Lanes)
            sum += VectorMath.Exp(T.Load(x + i) - shift);
        if (i < count)
        {
            T missing = T.Broadcast(float.NegativeInfinity);
            T lanes = T.SelectLess(T.LaneNumbers, T.Broadcast(count - i), Partial.Load<T>(x + i, count - i), missing);
            sum += VectorMath.Exp(lanes - shift);
        }

        return T.Sum(sum);
    }

    /// <summary>The lowest index of a value.</summary>
    private static int IndexOf(float* x, int count, float value) => new ReadOnlySpan<float>(x, count).IndexOf(value);
}
