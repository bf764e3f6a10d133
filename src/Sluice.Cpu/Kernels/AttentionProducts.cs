using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// The two products of attention over a block of keys, a few query rows by two registers at a time. As in <see cref="PanelTile{T,TFormat}"/>
/// every number is one chain of multiply-adds, over the elements of a key or over the keys in order, whatever rows share a tile and whatever the pages hold.
/// </summary>
internal static unsafe class AttentionProducts<T, TKv>
    where T : unmanaged, ISimd<T>
    where TKv : struct, IKvFormat
{
    private const int PageTokens = 16;

    /// <summary><c>scores[row][j] = q[row] . key j</c> for the keys of some pages, their factors left out.</summary>
    /// <param name="q">Query rows, each [headDim].</param>
    /// <param name="rows">Query rows.</param>
    /// <param name="headDim">Elements of a head.</param>
    /// <param name="keys">Pages of keys.</param>
    /// <param name="pages">Pages.</param>
    /// <param name="scores">The result, each row 16 * pages floats.</param>
    /// <param name="next">Pages as large as those of keys that will be read next: fetched meanwhile.</param>
    public static void Scores(float** q, int rows, int headDim, byte** keys, int pages, float** scores, byte** next)
    {
        int registersOfPage = PageTokens / T.Lanes;
        int registers = pages * registersOfPage;
        for (int register = 0; register < registers; register += 2)
        {
            // An odd last register is computed twice: the same numbers to the same place.
            int second = Math.Min(register + 1, registers - 1);
            byte* k0 = keys[register / registersOfPage] + (register % registersOfPage * T.Lanes * TKv.KeyBytes);
            byte* k1 = keys[second / registersOfPage] + (second % registersOfPage * T.Lanes * TKv.KeyBytes);
            byte* n0 = next[register / registersOfPage];
            byte* n1 = next[second / registersOfPage];
            int row = 0;
            for (; row + 6 <= rows; row += 6)
                Scores6(q + row, headDim, k0, k1, scores + row, register * T.Lanes, second * T.Lanes, n0, n1);
            for (; row + 2 <= rows; row += 2)
                Scores2(q + row, headDim, k0, k1, scores + row, register * T.Lanes, second * T.Lanes, n0, n1);
            for (; row < rows; row++)
                Scores1(q[row], headDim, k0, k1, scores[row], register * T.Lanes, second * T.Lanes, n0, n1);
        }
    }

    /// <summary><c>o[row] = o[row] * scale[row] + sum over keys j of weights[row][j] * value j</c>.</summary>
    /// <param name="weights">Rows of weights, indexed by key within the block.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="scale">What the rows of o are first multiplied with, or null.</param>
    /// <param name="values">Pages of values of the block.</param>
    /// <param name="valueStride">Numbers from one value to the next.</param>
    /// <param name="firstKey">First key of the block to add.</param>
    /// <param name="endKey">Key after the last.</param>
    /// <param name="o">The result, each row valueStride floats.</param>
    /// <param name="next">Pages as large as those of values that will be read next: fetched meanwhile.</param>
    public static void Combine(
        float** weights, int rows, float* scale, byte** values, int valueStride, int firstKey, int endKey, float** o, byte** next)
    {
        int steps = (valueStride + (2 * T.Lanes) - 1) / (2 * T.Lanes);
        for (int step = 0; step < steps; step++)
        {
            // An odd last register is computed twice: the same numbers to the same place.
            (int at, int second) = (2 * step * T.Lanes, Math.Min(((2 * step) + 1) * T.Lanes, valueStride - T.Lanes));
            nint ahead = step * 2 * T.Lanes * PageTokens * TKv.ElementBytes;
            int row = 0;
            for (; row + 6 <= rows; row += 6)
                Combine6(weights + row, scale == null ? null : scale + row, values, valueStride, firstKey, endKey, o + row, next, ahead, at, second);
            for (; row + 2 <= rows; row += 2)
                Combine2(weights + row, scale == null ? null : scale + row, values, valueStride, firstKey, endKey, o + row, next, ahead, at, second);
            for (; row < rows; row++)
                Combine1(weights[row], scale == null ? null : scale + row, values, valueStride, firstKey, endKey, o[row], next, ahead, at, second);
        }
    }

    [MethodImpl(Jit.Kernel)]
    private static void Scores6(float** q, int headDim, byte* k0, byte* k1, float** scores, int at0, int at1, byte* n0, byte* n1)
    {
        float* q0 = q[0];
        float* q1 = q[1];
        float* q2 = q[2];
        float* q3 = q[3];
        float* q4 = q[4];
        float* q5 = q[5];
        T a0 = T.Zero, b0 = T.Zero, a1 = T.Zero, b1 = T.Zero, a2 = T.Zero, b2 = T.Zero;
        T a3 = T.Zero, b3 = T.Zero, a4 = T.Zero, b4 = T.Zero, a5 = T.Zero, b5 = T.Zero;
        for (nint i = 0; i < headDim; i += TKv.Step)
        {
            Fetch(n0, n1, i);
            TKv.LoadKeys(k0, i, out T a, out T c);
            TKv.LoadKeys(k1, i, out T b, out T d);
            Add(q0 + i, a, b, ref a0, ref b0);
            Add(q1 + i, a, b, ref a1, ref b1);
            Add(q2 + i, a, b, ref a2, ref b2);
            Add(q3 + i, a, b, ref a3, ref b3);
            Add(q4 + i, a, b, ref a4, ref b4);
            Add(q5 + i, a, b, ref a5, ref b5);
            if (TKv.Step == 1)
                continue;
            Add(q0 + i + 1, c, d, ref a0, ref b0);
            Add(q1 + i + 1, c, d, ref a1, ref b1);
            Add(q2 + i + 1, c, d, ref a2, ref b2);
            Add(q3 + i + 1, c, d, ref a3, ref b3);
            Add(q4 + i + 1, c, d, ref a4, ref b4);
            Add(q5 + i + 1, c, d, ref a5, ref b5);
        }

        Store(a0, b0, scores[0], at0, at1);
        Store(a1, b1, scores[1], at0, at1);
        Store(a2, b2, scores[2], at0, at1);
        Store(a3, b3, scores[3], at0, at1);
        Store(a4, b4, scores[4], at0, at1);
        Store(a5, b5, scores[5], at0, at1);
    }

    [MethodImpl(Jit.Kernel)]
    private static void Scores2(float** q, int headDim, byte* k0, byte* k1, float** scores, int at0, int at1, byte* n0, byte* n1)
    {
        float* q0 = q[0];
        float* q1 = q[1];
        T a0 = T.Zero, b0 = T.Zero, a1 = T.Zero, b1 = T.Zero;
        for (nint i = 0; i < headDim; i += TKv.Step)
        {
            Fetch(n0, n1, i);
            TKv.LoadKeys(k0, i, out T a, out T c);
            TKv.LoadKeys(k1, i, out T b, out T d);
            Add(q0 + i, a, b, ref a0, ref b0);
            Add(q1 + i, a, b, ref a1, ref b1);
            if (TKv.Step == 1)
                continue;
            Add(q0 + i + 1, c, d, ref a0, ref b0);
            Add(q1 + i + 1, c, d, ref a1, ref b1);
        }

        Store(a0, b0, scores[0], at0, at1);
        Store(a1, b1, scores[1], at0, at1);
    }

    [MethodImpl(Jit.Kernel)]
    private static void Scores1(float* q, int headDim, byte* k0, byte* k1, float* scores, int at0, int at1, byte* n0, byte* n1)
    {
        T a0 = T.Zero, b0 = T.Zero;
        for (nint i = 0; i < headDim; i += TKv.Step)
        {
            Fetch(n0, n1, i);
            TKv.LoadKeys(k0, i, out T a, out T c);
            TKv.LoadKeys(k1, i, out T b, out T d);
            Add(q + i, a, b, ref a0, ref b0);
            if (TKv.Step == 2)
                Add(q + i + 1, c, d, ref a0, ref b0);
        }

        Store(a0, b0, scores, at0, at1);
    }

    [MethodImpl(Jit.Kernel)]
    private static void Combine6(
        float** weights, float* scale, byte** values, int valueStride, int firstKey, int endKey, float** o, byte** next, nint nextAt, int at0, int at1)
    {
        float* w0 = weights[0];
        float* w1 = weights[1];
        float* w2 = weights[2];
        float* w3 = weights[3];
        float* w4 = weights[4];
        float* w5 = weights[5];
        Resume(o[0], at0, at1, scale, 0, out T a0, out T b0);
        Resume(o[1], at0, at1, scale, 1, out T a1, out T b1);
        Resume(o[2], at0, at1, scale, 2, out T a2, out T b2);
        Resume(o[3], at0, at1, scale, 3, out T a3, out T b3);
        Resume(o[4], at0, at1, scale, 4, out T a4, out T b4);
        Resume(o[5], at0, at1, scale, 5, out T a5, out T b5);
        (nint from0, nint from1) = (TKv.ColumnOffset(at0), TKv.ColumnOffset(at1));
        for (nint key = firstKey; key < endKey;)
        {
            byte* value = values[key / PageTokens] + TKv.TokenOffset(key % PageTokens, valueStride);
            byte* ahead = next[key / PageTokens] + nextAt + (key % PageTokens * 2 * T.Lanes * TKv.ElementBytes);
            Fetch(ahead);
            if (key % 2 == 0 && key + 1 < endKey)
            {
                Fetch(ahead + (2 * T.Lanes * TKv.ElementBytes));
                TKv.LoadValues(value + from0, valueStride, out T a, out T c);
                TKv.LoadValues(value + from1, valueStride, out T b, out T d);
                Add(w0 + key, a, b, ref a0, ref b0);
                Add(w1 + key, a, b, ref a1, ref b1);
                Add(w2 + key, a, b, ref a2, ref b2);
                Add(w3 + key, a, b, ref a3, ref b3);
                Add(w4 + key, a, b, ref a4, ref b4);
                Add(w5 + key, a, b, ref a5, ref b5);
                Add(w0 + key + 1, c, d, ref a0, ref b0);
                Add(w1 + key + 1, c, d, ref a1, ref b1);
                Add(w2 + key + 1, c, d, ref a2, ref b2);
                Add(w3 + key + 1, c, d, ref a3, ref b3);
                Add(w4 + key + 1, c, d, ref a4, ref b4);
                Add(w5 + key + 1, c, d, ref a5, ref b5);
                key += 2;
            }
            else
            {
                T a = TKv.LoadValue<T>(value + from0, key % 2 != 0);
                T b = TKv.LoadValue<T>(value + from1, key % 2 != 0);
                Add(w0 + key, a, b, ref a0, ref b0);
                Add(w1 + key, a, b, ref a1, ref b1);
                Add(w2 + key, a, b, ref a2, ref b2);
                Add(w3 + key, a, b, ref a3, ref b3);
                Add(w4 + key, a, b, ref a4, ref b4);
                Add(w5 + key, a, b, ref a5, ref b5);
                key++;
            }
        }

        Store(a0, b0, o[0], at0, at1);
        Store(a1, b1, o[1], at0, at1);
        Store(a2, b2, o[2], at0, at1);
        Store(a3, b3, o[3], at0, at1);
        Store(a4, b4, o[4], at0, at1);
        Store(a5, b5, o[5], at0, at1);
    }

    [MethodImpl(Jit.Kernel)]
    private static void Combine2(
        float** weights, float* scale, byte** values, int valueStride, int firstKey, int endKey, float** o, byte** next, nint nextAt, int at0, int at1)
    {
        float* w0 = weights[0];
        float* w1 = weights[1];
        Resume(o[0], at0, at1, scale, 0, out T a0, out T b0);
        Resume(o[1], at0, at1, scale, 1, out T a1, out T b1);
        (nint from0, nint from1) = (TKv.ColumnOffset(at0), TKv.ColumnOffset(at1));
        for (nint key = firstKey; key < endKey;)
        {
            byte* value = values[key / PageTokens] + TKv.TokenOffset(key % PageTokens, valueStride);
            byte* ahead = next[key / PageTokens] + nextAt + (key % PageTokens * 2 * T.Lanes * TKv.ElementBytes);
            Fetch(ahead);
            if (key % 2 == 0 && key + 1 < endKey)
            {
                Fetch(ahead + (2 * T.Lanes * TKv.ElementBytes));
                TKv.LoadValues(value + from0, valueStride, out T a, out T c);
                TKv.LoadValues(value + from1, valueStride, out T b, out T d);
                Add(w0 + key, a, b, ref a0, ref b0);
                Add(w1 + key, a, b, ref a1, ref b1);
                Add(w0 + key + 1, c, d, ref a0, ref b0);
                Add(w1 + key + 1, c, d, ref a1, ref b1);
                key += 2;
            }
            else
            {
                T a = TKv.LoadValue<T>(value + from0, key % 2 != 0);
                T b = TKv.LoadValue<T>(value + from1, key % 2 != 0);
                Add(w0 + key, a, b, ref a0, ref b0);
                Add(w1 + key, a, b, ref a1, ref b1);
                key++;
            }
        }

        Store(a0, b0, o[0], at0, at1);
        Store(a1, b1, o[1], at0, at1);
    }

    [MethodImpl(Jit.Kernel)]
    private static void Combine1(
        float* weights, float* scale, byte** values, int valueStride, int firstKey, int endKey, float* o, byte** next, nint nextAt, int at0, int at1)
    {
        Resume(o, at0, at1, scale, 0, out T a0, out T b0);
        (nint from0, nint from1) = (TKv.ColumnOffset(at0), TKv.ColumnOffset(at1));
        for (nint key = firstKey; key < endKey;)
        {
            byte* value = values[key / PageTokens] + TKv.TokenOffset(key % PageTokens, valueStride);
            byte* ahead = next[key / PageTokens] + nextAt + (key % PageTokens * 2 * T.Lanes * TKv.ElementBytes);
            Fetch(ahead);
            if (key % 2 == 0 && key + 1 < endKey)
            {
                Fetch(ahead + (2 * T.Lanes * TKv.ElementBytes));
                TKv.LoadValues(value + from0, valueStride, out T a, out T c);
                TKv.LoadValues(value + from1, valueStride, out T b, out T d);
                Add(weights + key, a, b, ref a0, ref b0);
                Add(weights + key + 1, c, d, ref a0, ref b0);
                key += 2;
            }
            else
            {
                T a = TKv.LoadValue<T>(value + from0, key % 2 != 0);
                T b = TKv.LoadValue<T>(value + from1, key % 2 != 0);
                Add(weights + key, a, b, ref a0, ref b0);
                key++;
            }
        }

        Store(a0, b0, o, at0, at1);
    }

    /// <summary>Elements of two pages of keys meet a line, or half a line, of each of two pages of values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fetch(byte* n0, byte* n1, nint i)
    {
        Cache.PrefetchToSecondLevel(n0 + (i * PageTokens * TKv.ElementBytes));
        Cache.PrefetchToSecondLevel(n1 + (i * PageTokens * TKv.ElementBytes));
    }

    /// <summary>Two registers of a value meet as many numbers of a page of keys: with 16 lanes of float32, two lines.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fetch(byte* ahead)
    {
        Cache.PrefetchToSecondLevel(ahead);
        if (2 * T.Lanes * TKv.ElementBytes > 64)
            Cache.PrefetchToSecondLevel(ahead + 64);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Resume(float* o, int at0, int at1, float* scale, int row, out T a, out T b)
    {
        a = T.Load(o + at0);
        b = T.Load(o + at1);
        if (scale == null)
            return;
        a *= T.BroadcastAt(scale + row);
        b *= T.BroadcastAt(scale + row);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(float* factor, T a, T b, ref T sumA, ref T sumB)
    {
        T value = T.BroadcastAt(factor);
        sumA = T.MultiplyAdd(value, a, sumA);
        sumB = T.MultiplyAdd(value, b, sumB);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(T a, T b, float* to, int at0, int at1)
    {
        T.Store(a, to + at0);
        T.Store(b, to + at1);
    }
}
