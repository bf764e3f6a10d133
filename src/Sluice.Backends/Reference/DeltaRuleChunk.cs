using Sluice.Core;

namespace Sluice.Backends.Reference;

/// <summary>One head's chunk of tokens in the WY form of <see cref="GatedDeltaRule.Chunked"/>; letters are those of its summary.</summary>
internal sealed class DeltaRuleChunk(LinearAttentionConfig shape, int tokens)
{
    private readonly float[,] _q = new float[tokens, shape.KeyDim];
    private readonly float[,] _k = new float[tokens, shape.KeyDim];

    // Enter as beta v and beta k exp(G); leave Solve as U and W.
    private readonly float[,] _u = new float[tokens, shape.ValueDim];
    private readonly float[,] _w = new float[tokens, shape.KeyDim];

    private readonly float[] _beta = new float[tokens];

    // Running sum of g. In binary64: differences of it are exponents, whose absolute error becomes a relative one.
    private readonly double[] _g = new double[tokens];

    public void Read(
        int head, int first, ReadOnlySpan<float> mixed, ReadOnlySpan<float> b, ReadOnlySpan<float> a, ReadOnlySpan<float> aLog, ReadOnlySpan<float> dtBias)
    {
        int keyHead = shape.KeyHeadOf(head);
        float[] q = new float[shape.KeyDim];
        float[] k = new float[shape.KeyDim];
        double sum = 0;
        for (int t = 0; t < tokens; t++)
        {
            ReadOnlySpan<float> row = mixed.Slice((first + t) * shape.ConvChannels, shape.ConvChannels);
            int gate = ((first + t) * shape.ValueHeads) + head;
            sum += GatedDeltaRule.LogDecay(a[gate], aLog[head], dtBias[head]);
            _g[t] = sum;
            _beta[t] = GatedDeltaRule.Beta(b[gate]);
            GatedDeltaRule.L2Normalise(row.Slice(keyHead * shape.KeyDim, shape.KeyDim), 1f / MathF.Sqrt(shape.KeyDim), q);
            GatedDeltaRule.L2Normalise(row.Slice((shape.KeyHeads + keyHead) * shape.KeyDim, shape.KeyDim), 1f, k);
            for (int i = 0; i < shape.KeyDim; i++)
            {
                _q[t, i] = q[i];
                _k[t, i] = k[i];
                _w[t, i] = _beta[t] * k[i] * (float)Math.Exp(sum);
            }

            for (int j = 0; j < shape.ValueDim; j++)
                _u[t, j] = _beta[t] * row[(2 * shape.KeyHeads * shape.KeyDim) + (head * shape.ValueDim) + j];
        }
    }

    /// <summary>[U | W] = (I + A)^-1 [beta v | beta k exp(G)], by forward substitution, as A is strictly lower.</summary>
    public void Solve()
    {
        for (int i = 0; i < tokens; i++)
        {
            for (int j = 0; j < i; j++)
            {
                float a = _beta[i] * Dot(_k, i, _k, j) * Decay(i, j);
                Subtract(_u, i, a, j);
                Subtract(_w, i, a, j);
            }
        }
    }

    /// <summary>Writes the chunk's results and moves <paramref name="state"/> [keyDim, valueDim] past it.</summary>
    public void Apply(int head, int first, Span<float> state, Span<float> o)
    {
        float[,] v = new float[tokens, shape.ValueDim]; // V' = U - W S
        for (int t = 0; t < tokens; t++)
        {
            for (int j = 0; j < shape.ValueDim; j++)
                v[t, j] = _u[t, j] - Query(_w, t, state, j);
        }

        for (int t = 0; t < tokens; t++)
        {
            Span<float> y = o.Slice((((first + t) * shape.ValueHeads) + head) * shape.ValueDim, shape.ValueDim);
            for (int j = 0; j < shape.ValueDim; j++)
                y[j] = (float)Math.Exp(_g[t]) * Query(_q, t, state, j);
            for (int s = 0; s <= t; s++)
            {
                float score = Dot(_q, t, _k, s) * Decay(t, s);
                for (int j = 0; j < shape.ValueDim; j++)
                    y[j] = MathF.FusedMultiplyAdd(score, v[s, j], y[j]);
            }
        }

        for (int i = 0; i < shape.KeyDim; i++)
        {
            for (int j = 0; j < shape.ValueDim; j++)
            {
                float sum = (float)Math.Exp(_g[^1]) * state[(i * shape.ValueDim) + j];
                for (int t = 0; t < tokens; t++)
                    sum = MathF.FusedMultiplyAdd(_k[t, i] * Decay(tokens - 1, t), v[t, j], sum);
                state[(i * shape.ValueDim) + j] = sum;
            }
        }
    }

    /// <summary>L[i, j]: how much of token j's write is left at token i.</summary>
    private float Decay(int i, int j) => (float)Math.Exp(_g[i] - _g[j]);

    private float Query(float[,] keys, int token, ReadOnlySpan<float> state, int column)
    {
        float sum = 0;
        for (int i = 0; i < shape.KeyDim; i++)
            sum = MathF.FusedMultiplyAdd(keys[token, i], state[(i * shape.ValueDim) + column], sum);
        return sum;
    }

    private static float Dot(float[,] x, int i, float[,] y, int j)
    {
        float sum = 0;
        for (int c = 0; c < x.GetLength(1); c++)
            sum = MathF.FusedMultiplyAdd(x[i, c], y[j, c], sum);
        return sum;
    }

    private static void Subtract(float[,] x, int i, float factor, int j)
    {
        for (int c = 0; c < x.GetLength(1); c++)
            x[i, c] = MathF.FusedMultiplyAdd(-factor, x[j, c], x[i, c]);
    }
}
