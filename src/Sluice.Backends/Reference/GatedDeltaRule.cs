using Sluice.Core;

namespace Sluice.Backends.Reference;

/// <summary>
/// The gated delta rule (Yang, Kautz and Hatamizadeh, arXiv:2412.06464). A state S [keyDim, valueDim] per value head is a memory that
/// maps keys to values. Each token fades it by <c>exp(g)</c>, corrects what it holds for k towards v by the step beta, and asks
/// it for q: <c>S *= exp(g); d = beta (v - S^T k); S += k d^T; o = S^T q</c>.
/// <para>
/// Both forms take one sequence's tokens: <c>mixed</c> [tokens, all q | all k | all v] after convolution and SiLU, <c>b</c> and
/// <c>a</c> [tokens, valueHeads], constants <c>aLog</c> and <c>dtBias</c> [valueHeads], and <c>state</c> [valueHeads, keyDim,
/// valueDim], which goes in as the state before the first token and comes out as that after the last.
/// Value head h uses key head <c>h / (valueHeads / keyHeads)</c>; the result <c>o</c> is [tokens, valueHeads * valueDim].
/// </para>
/// </summary>
public static class GatedDeltaRule
{
    /// <summary>Tokens that <see cref="Chunked"/> takes at a time in the published kernels.</summary>
    public const int DefaultChunk = 64;

    /// <summary>Added to the sum of squares of q and k before the root.</summary>
    public const float L2Epsilon = 1e-6f;

    /// <summary>The step towards the new value, <c>sigmoid(b)</c>.</summary>
    public static float Beta(float b) => Nonlinearity.Sigmoid(b);

    /// <summary>The logarithm of what the state keeps, <c>g = -exp(aLog) * softplus(a + dtBias)</c>; at most 0.</summary>
    public static float LogDecay(float a, float aLog, float dtBias) => -MathF.Exp(aLog) * Nonlinearity.Softplus(a + dtBias);

    /// <summary>Token after token, as written above.</summary>
    public static void Recurrent(
        LinearAttentionConfig shape, ReadOnlySpan<float> mixed, ReadOnlySpan<float> b, ReadOnlySpan<float> a, ReadOnlySpan<float> aLog,
        ReadOnlySpan<float> dtBias, Span<float> state, Span<float> o)
    {
        int heads = shape.ValueHeads;
        for (int t = 0; t < b.Length / heads; t++)
        {
            Step(
                shape, mixed.Slice(t * shape.ConvChannels, shape.ConvChannels), b.Slice(t * heads, heads), a.Slice(t * heads, heads),
                aLog, dtBias, state, o.Slice(t * heads * shape.ValueDim, heads * shape.ValueDim));
        }
    }

    /// <summary>
    /// The same, <paramref name="chunk"/> tokens at a time, as matrix products (the WY form). With G the running sum of g inside the
    /// chunk and <c>L[i, j] = exp(G_i - G_j)</c> for i >= j: <c>A = strictlower((beta k) k^T * L)</c>,
    /// <c>[U | W] = (I + A)^-1 [beta v | beta k exp(G)]</c>, <c>V' = U - W S</c>, <c>o = (q exp(G)) S + lower(q k^T * L) V'</c>,
    /// <c>S = exp(G_last) S + (k exp(G_last - G))^T V'</c>.
    /// </summary>
    public static void Chunked(
        LinearAttentionConfig shape, ReadOnlySpan<float> mixed, ReadOnlySpan<float> b, ReadOnlySpan<float> a, ReadOnlySpan<float> aLog,
        ReadOnlySpan<float> dtBias, Span<float> state, Span<float> o, int chunk = DefaultChunk)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(chunk);
        int tokens = b.Length / shape.ValueHeads;
        int stateSize = shape.KeyDim * shape.ValueDim;
        for (int head = 0; head < shape.ValueHeads; head++)
        {
            for (int first = 0; first < tokens; first += chunk)
            {
                DeltaRuleChunk part = new(shape, Math.Min(chunk, tokens - first));
                part.Read(head, first, mixed, b, a, aLog, dtBias);
                part.Solve();
                part.Apply(head, first, state.Slice(head * stateSize, stateSize), o);
            }
        }
    }

    internal static void Run(
        StepBatch batch, ReferenceActivation mixed, ReferenceActivation b, ReferenceActivation a, ReferenceVector aLog,
        ReferenceVector dtBias, ReferenceStateCache states, int layer, ReferenceActivation o)
    {
        foreach (SequenceSpan span in batch.Sequences)
        {
            Span<float> state = states.Recurrent(layer, span.StateSlot);
            if (span.FirstPosition == 0)
                state.Clear();
            ReadOnlySpan<StateExport> exports = batch.Exports.Slice(span.FirstExport, span.ExportCount);
            for (int t = 0; t < span.Count; t++)
            {
                int row = span.FirstRow + t;
                Step(states.Shape, mixed[row], b[row], a[row], aLog.Values, dtBias.Values, state, o[row]);
                if (!exports.IsEmpty && exports[0].Length == t + 1)
                {
                    state.CopyTo(states.Recurrent(layer, exports[0].Slot));
                    exports = exports[1..];
                }
            }
        }
    }

    /// <summary><c>y = x * rsqrt(sum(x^2) + 1e-6) * scale</c>.</summary>
    internal static void L2Normalise(ReadOnlySpan<float> x, float scale, Span<float> y)
    {
        float factor = scale / MathF.Sqrt(Linear.Dot(x, x) + L2Epsilon);
        for (int i = 0; i < x.Length; i++)
            y[i] = x[i] * factor;
    }

    /// <summary>One token, all heads.</summary>
    private static void Step(
        LinearAttentionConfig shape, ReadOnlySpan<float> mixed, ReadOnlySpan<float> b, ReadOnlySpan<float> a, ReadOnlySpan<float> aLog,
        ReadOnlySpan<float> dtBias, Span<float> state, Span<float> o)
    {
        (int keyDim, int valueDim) = (shape.KeyDim, shape.ValueDim);
        Span<float> q = new float[keyDim];
        Span<float> k = new float[keyDim];
        Span<float> d = new float[valueDim];
        for (int head = 0; head < shape.ValueHeads; head++)
        {
            int keyHead = shape.KeyHeadOf(head);
            L2Normalise(mixed.Slice(keyHead * keyDim, keyDim), 1f / MathF.Sqrt(keyDim), q);
            L2Normalise(mixed.Slice((shape.KeyHeads + keyHead) * keyDim, keyDim), 1f, k);
            ReadOnlySpan<float> v = mixed.Slice((2 * shape.KeyHeads * keyDim) + (head * valueDim), valueDim);
            Span<float> s = state.Slice(head * keyDim * valueDim, keyDim * valueDim);
            float decay = MathF.Exp(LogDecay(a[head], aLog[head], dtBias[head]));
            float beta = Beta(b[head]);

            d.Clear();
            for (int i = 0; i < keyDim; i++)
            {
                for (int j = 0; j < valueDim; j++)
                {
                    s[(i * valueDim) + j] *= decay;
                    d[j] = MathF.FusedMultiplyAdd(k[i], s[(i * valueDim) + j], d[j]);
                }
            }

            for (int j = 0; j < valueDim; j++)
                d[j] = beta * (v[j] - d[j]);

            Span<float> y = o.Slice(head * valueDim, valueDim);
            y.Clear();
            for (int i = 0; i < keyDim; i++)
            {
                for (int j = 0; j < valueDim; j++)
                {
                    s[(i * valueDim) + j] = MathF.FusedMultiplyAdd(k[i], d[j], s[(i * valueDim) + j]);
                    y[j] = MathF.FusedMultiplyAdd(q[i], s[(i * valueDim) + j], y[j]);
                }
            }
        }
    }
}
