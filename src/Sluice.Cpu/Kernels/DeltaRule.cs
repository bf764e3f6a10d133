using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// The gated delta rule on some strips of 16 columns of a head's state, token by token:
/// <c>S *= decay; d = beta (v - S^T k); S += k d^T; o = S^T q</c>. Columns do not depend on each other, so strips run in parallel.
/// </summary>
/// <remarks>
/// One pass over the strips for each token updates them, multiplies them with the token's q, and with the next token's k, which the next
/// pass begins with: a load, a store and four multiply-adds for every 16 elements. Two registers of columns go side by side, so that one
/// works while the other waits for its sums at the end of a token. The chunked form in matrix products needs more arithmetic than
/// that, and cannot give the same bits for every way to cut a prompt.
/// </remarks>
internal static unsafe class DeltaRule<T>
    where T : unmanaged, ISimd<T>
{
    /// <summary>Floats of a row of the strip.</summary>
    private const int RowLength = Memory.CpuStateCache.StripWidth;

    /// <param name="state">The strips, [strips, keyDim, 16].</param>
    /// <param name="keyDim">Elements of a key.</param>
    /// <param name="qk">Normalised q, then k, of each token, [tokens, 2, keyStride].</param>
    /// <param name="keyStride">Floats from q to k, and from k to the next token's q.</param>
    /// <param name="gates">Decay and beta of each token, [tokens, 2], <paramref name="gateStride"/> floats apart.</param>
    /// <param name="gateStride">Floats from a token's gates to the next's.</param>
    /// <param name="v">Values of the strips' columns.</param>
    /// <param name="vStride">Floats from a token's values to the next's.</param>
    /// <param name="o">The result.</param>
    /// <param name="oStride">Floats from a token's result to the next's.</param>
    /// <param name="columns">Columns, up to 16 for each strip.</param>
    /// <param name="tokens">Tokens.</param>
    public static void Run(
        float* state, int keyDim, float* qk, nint keyStride, float* gates, nint gateStride,
        float* v, nint vStride, float* o, nint oStride, int columns, int tokens)
    {
        int column = 0;
        for (; column + (2 * T.Lanes) <= columns; column += 2 * T.Lanes)
        {
            WalkTwo(
                At(state, keyDim, column), At(state, keyDim, column + T.Lanes), keyDim, qk, keyStride, gates, gateStride,
                v + column, vStride, o + column, oStride, tokens);
        }

        for (; column < columns; column += T.Lanes)
        {
            Walk(
                At(state, keyDim, column), keyDim, qk, keyStride, gates, gateStride, v + column, vStride, o + column, oStride,
                Math.Min(T.Lanes, columns - column), tokens);
        }
    }

    private static float* At(float* state, int keyDim, int column) =>
        state + (column / RowLength * (nint)keyDim * RowLength) + (column % RowLength);

    /// <summary>The columns of two registers, <paramref name="a"/> and <paramref name="b"/>, side by side.</summary>
    [MethodImpl(Jit.Kernel)]
    private static void WalkTwo(
        float* a, float* b, int keyDim, float* qk, nint keyStride, float* gates, nint gateStride,
        float* v, nint vStride, float* o, nint oStride, int tokens)
    {
        T recalledA = Recall(a, keyDim, qk + keyStride);
        T recalledB = Recall(b, keyDim, qk + keyStride);
        for (int token = 0; token < tokens; token++)
        {
            T decay = T.BroadcastAt(gates);
            T beta = T.BroadcastAt(gates + 1);
            T deltaA = beta * (T.Load(v) - (decay * recalledA));
            T deltaB = beta * (T.Load(v + T.Lanes) - (decay * recalledB));

            // Rows are far from each other, further than the hardware looks ahead.
            Cache.Prefetch(v + (2 * vStride));
            Cache.Prefetch(v + (2 * vStride) + T.Lanes);
            Cache.Prefetch(o + (2 * oStride));
            Cache.Prefetch(o + (2 * oStride) + T.Lanes);
            float* q = qk;
            float* k = qk + keyStride;
            float* nextKey = token + 1 < tokens ? k + (2 * keyStride) : k;
            T outA0 = T.Zero, outA1 = T.Zero, nextA0 = T.Zero, nextA1 = T.Zero;
            T outB0 = T.Zero, outB1 = T.Zero, nextB0 = T.Zero, nextB1 = T.Zero;
            nint at = 0;
            int i = 0;
            for (; i + 2 <= keyDim; i += 2, at += 2 * RowLength)
            {
                Step(a + at, b + at, k + i, q + i, nextKey + i, decay, deltaA, deltaB, ref outA0, ref outB0, ref nextA0, ref nextB0);
                Step(
                    a + at + RowLength, b + at + RowLength, k + i + 1, q + i + 1, nextKey + i + 1, decay, deltaA, deltaB,
                    ref outA1, ref outB1, ref nextA1, ref nextB1);
            }

            if (i < keyDim)
                Step(a + at, b + at, k + i, q + i, nextKey + i, decay, deltaA, deltaB, ref outA0, ref outB0, ref nextA0, ref nextB0);

            recalledA = nextA0 + nextA1;
            recalledB = nextB0 + nextB1;
            T.Store(outA0 + outA1, o);
            T.Store(outB0 + outB1, o + T.Lanes);
            qk += 2 * keyStride;
            gates += gateStride;
            v += vStride;
            o += oStride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(
        float* a, float* b, float* k, float* q, float* nextKey, T decay, T deltaA, T deltaB, ref T outA, ref T outB, ref T nextA, ref T nextB)
    {
        T key = T.BroadcastAt(k);
        T rowA = T.MultiplyAdd(key, deltaA, decay * T.Load(a));
        T rowB = T.MultiplyAdd(key, deltaB, decay * T.Load(b));
        T.Store(rowA, a);
        T.Store(rowB, b);
        T query = T.BroadcastAt(q);
        outA = T.MultiplyAdd(query, rowA, outA);
        outB = T.MultiplyAdd(query, rowB, outB);
        T next = T.BroadcastAt(nextKey);
        nextA = T.MultiplyAdd(next, rowA, nextA);
        nextB = T.MultiplyAdd(next, rowB, nextB);
    }

    /// <summary>The columns of one register, of which <paramref name="columns"/> exist.</summary>
    [MethodImpl(Jit.Kernel)]
    private static void Walk(
        float* state, int keyDim, float* qk, nint keyStride, float* gates, nint gateStride,
        float* v, nint vStride, float* o, nint oStride, int columns, int tokens)
    {
        T recalled = Recall(state, keyDim, qk + keyStride);
        for (int token = 0; token < tokens; token++)
        {
            T decay = T.BroadcastAt(gates);
            T value = columns == T.Lanes ? T.Load(v) : Partial.Load<T>(v, columns);
            T delta = T.BroadcastAt(gates + 1) * (value - (decay * recalled));

            float* q = qk;
            float* k = qk + keyStride;
            float* nextKey = token + 1 < tokens ? k + (2 * keyStride) : k;
            T result = Update(state, keyDim, q, k, nextKey, decay, delta, out recalled);

            if (columns == T.Lanes)
                T.Store(result, o);
            else
                Partial.Store(result, o, columns);
            qk += 2 * keyStride;
            gates += gateStride;
            v += vStride;
            o += oStride;
        }
    }

    /// <summary><c>S^T k</c>, in the order of <see cref="Update"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Recall(float* state, int keyDim, float* k)
    {
        T even = T.Zero, odd = T.Zero;
        int i = 0;
        for (; i + 2 <= keyDim; i += 2, state += 2 * RowLength)
        {
            even = T.MultiplyAdd(T.BroadcastAt(k + i), T.Load(state), even);
            odd = T.MultiplyAdd(T.BroadcastAt(k + i + 1), T.Load(state + RowLength), odd);
        }

        if (i < keyDim)
            even = T.MultiplyAdd(T.BroadcastAt(k + i), T.Load(state), even);
        return even + odd;
    }

    /// <summary><c>S = decay S + k delta^T</c>; returns <c>S^T q</c> and gives <c>S^T nextKey</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Update(float* state, int keyDim, float* q, float* k, float* nextKey, T decay, T delta, out T recalled)
    {
        T evenOut = T.Zero, oddOut = T.Zero, evenNext = T.Zero, oddNext = T.Zero;
        int i = 0;
        for (; i + 2 <= keyDim; i += 2, state += 2 * RowLength)
        {
            T even = T.MultiplyAdd(T.BroadcastAt(k + i), delta, decay * T.Load(state));
            T odd = T.MultiplyAdd(T.BroadcastAt(k + i + 1), delta, decay * T.Load(state + RowLength));
            T.Store(even, state);
            T.Store(odd, state + RowLength);
            evenOut = T.MultiplyAdd(T.BroadcastAt(q + i), even, evenOut);
            oddOut = T.MultiplyAdd(T.BroadcastAt(q + i + 1), odd, oddOut);
            evenNext = T.MultiplyAdd(T.BroadcastAt(nextKey + i), even, evenNext);
            oddNext = T.MultiplyAdd(T.BroadcastAt(nextKey + i + 1), odd, oddNext);
        }

        if (i < keyDim)
        {
            T even = T.MultiplyAdd(T.BroadcastAt(k + i), delta, decay * T.Load(state));
            T.Store(even, state);
            evenOut = T.MultiplyAdd(T.BroadcastAt(q + i), even, evenOut);
            evenNext = T.MultiplyAdd(T.BroadcastAt(nextKey + i), even, evenNext);
        }

        recalled = evenNext + oddNext;
        return evenOut + oddOut;
    }
}
