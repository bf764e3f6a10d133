using Sluice.Backends.Reference;
using Sluice.Core;

namespace Sluice.Backends.Tests.Reference;

/// <summary>Each operation against its formula in float64, and the rules of batches, slots, pages and views.</summary>
public sealed class OperationTests
{
    private static readonly ReferenceBackend Backend = new();
    private readonly Random _random = new(17);

    [Fact]
    public void Linear_stacks_parts_of_different_types_scales_FP8_and_adds_the_bias()
    {
        // Columns and rows that no block divides.
        const int Columns = 37;
        byte[] fp8 = new byte[21 * Columns];
        for (int i = 0; i < fp8.Length; i++)
            fp8[i] = (byte)_random.Next(0, 0x7F);
        float[] scales = Values(2 * 3);
        float[] plain = Values(5 * Columns);
        float[] bias = Values(26);
        float[] x = Values(3 * Columns);
        Matrix matrix = Backend.LoadMatrix(
            MatrixUse.Linear, new MemoryMatrix(DType.F8E4M3, 21, Columns, fp8, scales, 16), MemoryMatrix.F32(5, Columns, plain));
        Assert.Equal((26, Columns), (matrix.Rows, matrix.Columns));
        Assert.Equal((21 * Columns) + (21 * 3 * 4) + (5 * Columns * 4), matrix.Bytes);
        Activation y = Backend.Allocate(3, 30).Columns(2, 26);
        Backend.Linear(Activation(x, 3), matrix, Backend.LoadVector(bias), y, 3);

        for (int row = 0; row < 3; row++)
        {
            float[] found = Row(y, row);
            for (int o = 0; o < 26; o++)
            {
                double expected = bias[o];
                double size = Math.Abs(bias[o]);
                for (int c = 0; c < Columns; c++)
                {
                    double w = o < 21
                        ? (double)StoredNumbers.FromF8E4M3(fp8[(o * Columns) + c]) * scales[(o / 16 * 3) + (c / 16)]
                        : plain[((o - 21) * Columns) + c];
                    expected += w * x[(row * Columns) + c];
                    size += Math.Abs(w * x[(row * Columns) + c]);
                }

                Assert.InRange(found[o], expected - (1e-6 * size), expected + (1e-6 * size));
            }
        }
    }

    [Fact]
    public void Norms_agree_with_their_formulas()
    {
        float[] x = Values(2 * 24);
        float[] z = Values(2 * 24);
        float[] w = Values(24);
        Activation y = Backend.Allocate(2, 24);
        Backend.RmsNorm(Activation(x, 2), Backend.LoadVector(w), 1e-3f, y, 2);
        AssertClose(i => x[i] / Rms(x, i / 24 * 24, 24, 1e-3) * w[i % 24], y, 2);

        float[] delta = Values(2 * 24);
        Activation residual = Activation(x, 2);
        Backend.AddRmsNorm(residual, Activation(delta, 2), Backend.LoadVector(w), 1e-3f, y, 2);
        float[] sum = [.. x.Zip(delta, (a, b) => a + b)];
        AssertClose(i => sum[i], residual, 2);
        AssertClose(i => sum[i] / Rms(sum, i / 24 * 24, 24, 1e-3) * w[i % 24], y, 2);

        Backend.GatedRmsNorm(Activation(x, 2), Activation(z, 2), Backend.LoadVector(w.AsSpan(0, 8)), 1e-3f, y, 2);
        AssertClose(i => x[i] / Rms(x, i / 8 * 8, 8, 1e-3) * w[i % 8] * z[i] * Sigmoid(z[i]), y, 2);
    }

    [Fact]
    public void Elementwise_operations_agree_with_their_formulas()
    {
        float[] x = Values(2 * 10);
        float[] w = Values(2 * 5);
        Activation y = Backend.Allocate(2, 5);
        Backend.SwiGlu(Activation(x, 2), y, 2);
        AssertClose(i => x[i + (i / 5 * 5)] * Sigmoid(x[i + (i / 5 * 5)]) * x[i + (i / 5 * 5) + 5], y, 2);

        y = Activation(w, 2);
        Backend.AddGated(Activation(x, 2).Columns(5, 5), Activation(x, 2).Columns(3, 1), y, 2);
        AssertClose(i => w[i] + (Sigmoid(x[(i / 5 * 10) + 3]) * x[(i / 5 * 10) + 5 + (i % 5)]), y, 2);

        y = Activation(w, 2);
        Backend.Add(y, Activation(x, 2).Columns(0, 5), 1);
        AssertClose(i => i < 5 ? w[i] + x[i] : w[i], y, 2); // the second row is not of the step
    }

    [Fact]
    public void Softplus_keeps_the_smallest_and_the_largest_values()
    {
        for (double x = -60; x < 60; x += 0.37)
        {
            double exact = x > 40 ? x : Math.Exp(x) < 1e-8 ? Math.Exp(x) : Math.Log(1 + Math.Exp(x));
            float g = GatedDeltaRule.LogDecay((float)x - 1, 0.5f, 1);
            double expected = -Math.Exp(0.5) * exact;
            Assert.InRange(g / expected, 1 - 1e-5, 1 + 1e-5);
        }
    }

    [Fact]
    public void Routing_takes_the_largest_and_prefers_the_lower_index()
    {
        Routing routing = Backend.AllocateRouting(3, 3);
        Activation logits = Activation([1, 3, 3, 2, 3, 0, 0, 0, -1, 0, float.NaN, 1, 2, float.NaN, 3], 3);
        Backend.Route(logits, normalise: true, routing, 3);
        ReferenceRouting found = (ReferenceRouting)routing;
        Assert.Equal([1, 2, 4], found.Experts(0).ToArray());
        Assert.All(found.Weights(0).ToArray(), w => Assert.Equal(1f / 3, w, 1e-6f));
        Assert.Equal([0, 1, 2], found.Experts(1).ToArray());
        Assert.Equal(3, found.Experts(2).ToArray().Distinct().Count()); // whatever NaN does, the experts exist

        Backend.Route(logits, normalise: false, routing, 1);
        double all = Math.Exp(-2) + 3 + Math.Exp(-1);
        Assert.All(found.Weights(0).ToArray(), w => Assert.Equal(1 / all, w, 1e-6));
    }

    [Fact]
    public void Experts_are_summed_by_weight()
    {
        const int Hidden = 6;
        const int Inner = 4;
        float[][] gate = [Values(Inner * Hidden), Values(Inner * Hidden), Values(Inner * Hidden)];
        float[][] up = [Values(Inner * Hidden), Values(Inner * Hidden), Values(Inner * Hidden)];
        float[][] down = [Values(Inner * Hidden), Values(Inner * Hidden), Values(Inner * Hidden)];
        List<ExpertSource> sources = [];
        for (int e = 0; e < 3; e++)
            sources.Add(new(MemoryMatrix.F32(Inner, Hidden, gate[e]), MemoryMatrix.F32(Inner, Hidden, up[e]), MemoryMatrix.F32(Hidden, Inner, down[e])));
        float[] x = Values(Hidden);
        Routing routing = Backend.AllocateRouting(1, 2);
        Backend.Route(Activation([0.5f, -1f, 1f], 1), true, routing, 1);
        Activation y = Backend.Allocate(1, Hidden);
        Backend.Experts(Activation(x, 1), routing, Backend.LoadExperts(sources), y, 1);

        double first = Sigmoid(0.5); // softmax of two is the sigmoid of their difference
        AssertClose(i => (first * Expert(2, i)) + ((1 - first) * Expert(0, i)), y, 1);

        double Expert(int e, int output)
        {
            double sum = 0;
            for (int j = 0; j < Inner; j++)
            {
                double g = Enumerable.Range(0, Hidden).Sum(c => (double)gate[e][(j * Hidden) + c] * x[c]);
                double u = Enumerable.Range(0, Hidden).Sum(c => (double)up[e][(j * Hidden) + c] * x[c]);
                sum += down[e][(output * Inner) + j] * g * Sigmoid(g) * u;
            }

            return sum;
        }
    }

    [Fact]
    public void Convolution_carries_its_window_from_span_to_span_and_starts_from_zero()
    {
        LinearAttentionConfig shape = new(1, 1, 2, 3, ConvKernel: 4);
        int channels = shape.ConvChannels;
        float[] x = Values(9 * channels);
        float[] w = Values(channels * 4);
        using CacheArena statesArena = Backend.CreateArena(CacheShape.OfStates(2, shape), 0, 3);
        StateCache states = statesArena.States!;
        StepBatch batch = new(16);
        float[] found = new float[x.Length];

        // Rubbish in the slot, then a sequence that begins: 4 tokens, then 1, then 4, with an export inside the last.
        ((ReferenceStateCache)states).Convolution(1, 2).Fill(1e9f);
        int done = 0;
        foreach (int count in new[] { 4, 1, 4 })
        {
            batch.Clear();
            batch.Add(new int[count], done, stateSlot: 2, [0], LogitsWanted.None, count == 4 ? [new StateExport(2, 0)] : []);
            Activation y = Backend.Allocate(count, channels);
            Backend.CausalConv(batch, Activation(x.AsSpan(done * channels, count * channels), count), Backend.LoadVector(w), states, 1, y);
            for (int t = 0; t < count; t++)
                Row(y, t).CopyTo(found, (done + t) * channels);
            done += count;
        }

        for (int t = 0; t < 9; t++)
        {
            for (int c = 0; c < channels; c++)
            {
                double sum = 0;
                for (int j = 0; j < 4; j++)
                    sum += t - 3 + j < 0 ? 0 : (double)w[(c * 4) + j] * x[((t - 3 + j) * channels) + c];
                Assert.Equal(sum * Sigmoid(sum), found[(t * channels) + c], 1e-5);
            }
        }

        Assert.Equal(x.AsSpan(4 * channels, 3 * channels).ToArray(), ((ReferenceStateCache)states).Convolution(1, 0).ToArray());
        Assert.Equal(x.AsSpan(6 * channels, 3 * channels).ToArray(), ((ReferenceStateCache)states).Convolution(1, 2).ToArray());
        Assert.All(((ReferenceStateCache)states).Convolution(0, 2).ToArray(), v => Assert.Equal(0, v)); // the other layer's
    }

    [Fact]
    public void Delta_rule_reads_updates_and_exports_the_slots_of_its_sequences()
    {
        LinearAttentionConfig shape = new(1, 2, 4, 3, 4);
        using CacheArena statesArena = Backend.CreateArena(CacheShape.OfStates(1, shape), 0, 4);
        StateCache states = statesArena.States!;
        ReferenceStateCache slots = (ReferenceStateCache)states;
        float[] mixed = Values(7 * shape.ConvChannels);
        float[] gates = Values(7 * 4);
        float[] aLog = Values(2);
        float[] dtBias = Values(2);
        slots.Recurrent(0, 1).Fill(float.NaN); // a new sequence does not read it
        float[] old = Values(shape.StateElements);
        old.CopyTo(slots.Recurrent(0, 2));

        StepBatch batch = new(16);
        batch.Add(new int[4], 0, stateSlot: 1, [0], LogitsWanted.None, [new StateExport(3, 3)]);
        batch.Add(new int[3], 5, stateSlot: 2, [1], LogitsWanted.None);
        Activation o = Backend.Allocate(7, 6);
        Activation ba = Activation(gates, 7);
        Backend.GatedDeltaRule(
            batch, Activation(mixed, 7), ba.Columns(0, 2), ba.Columns(2, 2), Backend.LoadVector(aLog), Backend.LoadVector(dtBias), states, 0, o);

        (float[] first, float[] firstOut) = Recurrent(0, 4, new float[shape.StateElements]);
        (float[] export, _) = Recurrent(0, 3, new float[shape.StateElements]);
        (float[] second, float[] secondOut) = Recurrent(4, 3, old);
        Assert.Equal(first, slots.Recurrent(0, 1).ToArray());
        Assert.Equal(export, slots.Recurrent(0, 3).ToArray());
        Assert.Equal(second, slots.Recurrent(0, 2).ToArray());
        for (int t = 0; t < 7; t++)
            Assert.Equal(t < 4 ? firstOut[(t * 6)..((t + 1) * 6)] : secondOut[((t - 4) * 6)..((t - 3) * 6)], Row(o, t));

        (float[] State, float[] Out) Recurrent(int from, int count, float[] start)
        {
            float[] state = [.. start];
            float[] y = new float[count * 6];
            float[] b = [.. Enumerable.Range(from, count).SelectMany(t => gates[(t * 4)..((t * 4) + 2)])];
            float[] a = [.. Enumerable.Range(from, count).SelectMany(t => gates[((t * 4) + 2)..((t * 4) + 4)])];
            GatedDeltaRule.Recurrent(shape, mixed.AsSpan(from * shape.ConvChannels, count * shape.ConvChannels), b, a, aLog, dtBias, state, y);
            return (state, y);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Attention_over_scattered_pages_agrees_with_the_formula(bool gated)
    {
        const int Tokens = 37;
        AttentionConfig shape = new(QueryHeads: 4, KvHeads: 2, HeadDim: 8, RotaryDim: 4, RopeTheta: 100, OutputGate: gated, Bias: false);
        float[] q = Values(Tokens * 32);
        float[] k = Values(Tokens * 16);
        float[] v = Values(Tokens * 16);
        float[] gate = Values(Tokens * 32);
        float[] qNorm = Values(8);
        float[] kNorm = Values(8);
        using CacheArena kvArena = Backend.CreateArena(new CacheShape(2, 2, 8), 6, 0);
        KvCache kv = kvArena.Kv!;
        int[] pages = [4, 0, 5];
        StepBatch batch = new(64);
        float[] found = new float[Tokens * 32];
        int done = 0;
        foreach (int count in new[] { 20, 1, 16 })
        {
            batch.Clear();
            batch.Add(new int[count], done, 0, pages, LogitsWanted.None);
            Activation y = Backend.Allocate(count, 32);
            Activation queries = Activation(q.AsSpan(done * 32, count * 32), count);
            Backend.QkNormRopeAndStore(
                batch, shape, queries, Activation(k.AsSpan(done * 16, count * 16), count), Activation(v.AsSpan(done * 16, count * 16), count),
                Backend.LoadVector(qNorm), Backend.LoadVector(kNorm), 1e-6f, kv, 1);
            Backend.Attention(batch, shape, queries, gated ? Activation(gate.AsSpan(done * 32, count * 32), count) : null, kv, 1, y);
            for (int t = 0; t < count; t++)
                Row(y, t).CopyTo(found, (done + t) * 32);
            done += count;
        }

        for (int t = 0; t < Tokens; t++)
        {
            for (int head = 0; head < 4; head++)
            {
                double[] query = Prepared(q, (t * 32) + (head * 8), qNorm, t);
                double[] weights = new double[t + 1];
                for (int p = 0; p <= t; p++)
                {
                    double[] key = Prepared(k, (p * 16) + (head / 2 * 8), kNorm, p);
                    weights[p] = Math.Exp(query.Zip(key, (a, b) => a * b).Sum() / Math.Sqrt(8));
                }

                for (int i = 0; i < 8; i++)
                {
                    double expected = weights.Select((w, p) => w * v[(p * 16) + (head / 2 * 8) + i]).Sum() / weights.Sum();
                    int at = (t * 32) + (head * 8) + i;
                    Assert.Equal(gated ? expected * Sigmoid(gate[at]) : expected, found[at], 1e-5);
                }
            }
        }

        double[] Prepared(float[] x, int start, float[] weight, int position)
        {
            double rms = Rms(x, start, 8, 1e-6);
            double[] head = [.. Enumerable.Range(0, 8).Select(i => x[start + i] / rms * weight[i])];
            double[] turned = [.. head];
            for (int i = 0; i < 2; i++)
            {
                double angle = position / Math.Pow(100, 2.0 * i / 4);
                turned[i] = (head[i] * Math.Cos(angle)) - (head[i + 2] * Math.Sin(angle));
                turned[i + 2] = (head[i + 2] * Math.Cos(angle)) + (head[i] * Math.Sin(angle));
            }

            return turned;
        }
    }

    [Fact]
    public void Pages_and_slots_out_of_range_are_refused()
    {
        AttentionConfig shape = new(1, 1, 4, 4, 100, false, false);
        using CacheArena kvArena = Backend.CreateArena(new CacheShape(2, 1, 4), pages: 3, slots: 0);
        KvCache kv = kvArena.Kv!;
        using CacheArena statesArena = Backend.CreateArena(CacheShape.OfStates(2, new LinearAttentionConfig(1, 1, 2, 2, 4)), pages: 0, slots: 2);
        StateCache states = statesArena.States!;
        Activation x = Backend.Allocate(1, 4);
        Vector w = Backend.LoadVector(new float[4]);
        StepBatch batch = new(4);
        batch.Add([0], 0, stateSlot: 2, [3], LogitsWanted.None);
        Assert.Throws<ArgumentOutOfRangeException>(() => Backend.QkNormRopeAndStore(batch, shape, x, x, x, w, w, 1e-6f, kv, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() =>
            Backend.CausalConv(batch, Backend.Allocate(1, 6), Backend.LoadVector(new float[24]), states, 0, Backend.Allocate(1, 6)));
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Columns(2, 3));
    }

    [Fact]
    public void Embedding_and_logit_rows_are_gathered()
    {
        float[] table = Values(5 * 3);
        StepBatch batch = new(8);
        batch.Add([4, 0], 0, 0, [0], LogitsWanted.Last);
        batch.Add([2], 7, 0, [0], LogitsWanted.None);
        batch.Add([1, 1, 3], 0, 0, [0], LogitsWanted.All);
        Activation hidden = Backend.Allocate(6, 3);
        Backend.Embed(batch, Backend.LoadMatrix(MatrixUse.Embedding, MemoryMatrix.F32(5, 3, table)), hidden);
        Activation chosen = Backend.Allocate(4, 3);
        Backend.GatherLogitRows(batch, hidden, chosen);
        int[] tokens = [0, 1, 1, 3];
        for (int i = 0; i < 4; i++)
            Assert.Equal(table[(tokens[i] * 3)..((tokens[i] * 3) + 3)], Row(chosen, i));
    }

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double Rms(float[] x, int start, int count, double epsilon) =>
        Math.Sqrt((x.Skip(start).Take(count).Sum(v => (double)v * v) / count) + epsilon);

    private static Activation Activation(ReadOnlySpan<float> values, int rows)
    {
        Activation activation = Backend.Allocate(rows, values.Length / rows);
        for (int row = 0; row < rows; row++)
            Backend.Write(values.Slice(row * activation.Width, activation.Width), activation, row);
        return activation;
    }

    private static float[] Row(Activation activation, int row)
    {
        float[] values = new float[activation.Width];
        Backend.Read(activation, row, values);
        return values;
    }

    private static void AssertClose(Func<int, double> expected, Activation found, int rows)
    {
        for (int row = 0; row < rows; row++)
        {
            float[] values = Row(found, row);
            for (int i = 0; i < values.Length; i++)
                Assert.Equal(expected((row * values.Length) + i), values[i], 1e-5);
        }
    }

    private float[] Values(int count)
    {
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
            values[i] = (float)((_random.NextDouble() * 4) - 2);
        return values;
    }
}
