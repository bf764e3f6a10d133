using Sluice.Backends;
using Sluice.Backends.Reference;
using Sluice.Core;
using Sluice.Tests.Operations;

namespace Sluice.Cpu.Tests;

/// <summary>A row's bits do not depend on the other rows, on how a sequence is cut into steps, or on the number of threads.</summary>
public sealed class InvarianceTests
{
    public static TheoryData<DType> Types => [DType.F32, DType.F16, DType.BF16, DType.F8E4M3];

    [Theory]
    [MemberData(nameof(Types))]
    public void A_row_alone_is_as_in_any_batch(DType type)
    {
        const int Rows = 41;
        Random random = new(3);
        int columns = 300 + random.Next(500);
        using CpuBackend backend = new(new CpuOptions { Threads = 2 });
        Matrix weight = backend.LoadMatrix(MatrixUse.Linear, new RandomMatrix(random, type, 150, columns, type == DType.F8E4M3 ? 128 : 0));
        float[] values = Rig.Normal(random, Rows * columns);
        float[] alone = [.. Enumerable.Range(0, Rows).SelectMany(row => Linear(values.AsSpan(row * columns, columns), 1))];
        for (int rows = 2; rows <= Rows; rows++)
            OperationTests.AssertSame(alone[..(rows * 150)], Linear(values.AsSpan(0, rows * columns), rows), $"{rows} rows");

        float[] Linear(ReadOnlySpan<float> x, int rows)
        {
            Activation y = Rig.Empty(backend, rows, 150);
            backend.Linear(Rig.Of(backend, x.ToArray(), rows), weight, null, y, rows);
            return Rig.Read(backend, y, rows);
        }
    }

    [Fact]
    public void Experts_of_a_row_alone_are_as_in_any_batch()
    {
        const int Rows = 130;
        const int Hidden = 96;
        Random random = new(4);
        using CpuBackend backend = new(new CpuOptions { Threads = 2 });
        ExpertWeights experts = backend.LoadExperts([.. Enumerable.Range(0, 6).Select(_ => new ExpertSource(
            new RandomMatrix(random, DType.BF16, 48, Hidden), new RandomMatrix(random, DType.BF16, 48, Hidden), new RandomMatrix(random, DType.BF16, Hidden, 48)))]);
        float[] values = Rig.Normal(random, Rows * Hidden);
        float[] logits = Rig.Normal(random, Rows * 6);
        float[] alone = [.. Enumerable.Range(0, Rows).SelectMany(row => Run(row, 1))];
        foreach (int rows in new[] { 2, 3, 7, 30, Rows })
            OperationTests.AssertSame(alone[..(rows * Hidden)], Run(0, rows), $"{rows} rows");

        float[] Run(int first, int rows)
        {
            Routing routing = backend.AllocateRouting(rows, 3);
            backend.Route(Rig.Of(backend, logits[(first * 6)..((first + rows) * 6)], rows), true, routing, rows);
            Activation y = Rig.Empty(backend, rows, Hidden);
            backend.Experts(Rig.Of(backend, values[(first * Hidden)..((first + rows) * Hidden)], rows), routing, experts, y, rows);
            return Rig.Read(backend, y, rows);
        }
    }

    [Theory]
    [InlineData(KvDtype.Float32)]
    [InlineData(KvDtype.BF16)]
    [InlineData(KvDtype.Int8)]
    public void Any_chunking_of_the_mixers_gives_the_same_bits(KvDtype type)
    {
        Mixers mixers = new(new LinearAttentionConfig(2, 4, 48, 40, 4), new AttentionConfig(6, 2, 40, 20, 1e6, OutputGate: true, Bias: false), type, 150, 7);
        float[] whole = mixers.Run(threads: 1, 150);
        foreach (int chunk in new[] { 1, 2, 3, 16, 63, 64, 65, 149 })
            OperationTests.AssertSame(whole, mixers.Run(threads: 2, chunk), $"chunks of {chunk}");
        OperationTests.AssertSame(whole, mixers.Run(threads: 5, 31), "five threads");
    }

    /// <summary>Beyond 1024 keys attention works in segments, which decoding shares among threads and prefill does not.</summary>
    [Theory]
    [InlineData(KvDtype.Float32, 3e-6f)]
    [InlineData(KvDtype.BF16, 1e-3f)]
    [InlineData(KvDtype.Int8, 1e-4f)]
    public void A_long_context_gives_the_same_bits_in_prefill_and_in_decoding(KvDtype type, float tolerance)
    {
        const int Tokens = 2600;
        AttentionConfig shape = new(4, 2, 16, 16, 1e6, OutputGate: false, Bias: false);
        Random random = new(8);
        float[] q = Rig.Normal(random, Tokens * 64);
        float[] k = Rig.Normal(random, Tokens * 32);
        float[] v = Rig.Normal(random, Tokens * 32);
        float[] expected = Run(new ReferenceBackend(type), Tokens, last: 3);
        float[] prefill = Run(new CpuBackend(new CpuOptions { Threads = 1, KvDtype = type }), Tokens, last: 3);
        for (int i = 0; i < expected.Length; i++)
            Assert.InRange(prefill[i], expected[i] - tolerance, expected[i] + tolerance);
        OperationTests.AssertSame(prefill, Run(new CpuBackend(new CpuOptions { Threads = 4, KvDtype = type }), 1, last: 3), "decoding, four threads");
        OperationTests.AssertSame(prefill, Run(new CpuBackend(new CpuOptions { Threads = 1, KvDtype = type }), 2, last: 3), "decoding two tokens, one thread");

        // All but the last tokens in one step, then the last in steps of "chunk".
        float[] Run(IBackend backend, int chunk, int last)
        {
            using (backend)
            {
                using CacheArena kvArena = backend.CreateArena(new CacheShape(1, 2, 16), 170, 0);
                KvCache kv = kvArena.Kv!;
                Vector norm = backend.LoadVector(Enumerable.Repeat(1f, 16).ToArray());
                int[] pages = [.. Enumerable.Range(0, 170).Select(page => (page * 59) % 170)];
                List<float> results = [];
                StepBatch batch = new(Tokens);
                for (int first = 0; first < Tokens;)
                {
                    int count = first < Tokens - last && chunk < Tokens ? Tokens - last : Math.Min(chunk, Tokens - first);
                    batch.Clear();
                    batch.Add(new int[count], first, 0, pages, LogitsWanted.None);
                    backend.BeginStep(batch);
                    Activation queries = Rig.Of(backend, q[(first * 64)..((first + count) * 64)], count);
                    Activation y = Rig.Empty(backend, count, 64);
                    backend.QkNormRopeAndStore(
                        batch, shape, queries, Rig.Of(backend, k[(first * 32)..((first + count) * 32)], count),
                        Rig.Of(backend, v[(first * 32)..((first + count) * 32)], count), norm, norm, 1e-6f, kv, 0);
                    backend.Attention(batch, shape, queries, null, kv, 0, y);
                    results.AddRange(Rig.Read(backend, y, count));
                    first += count;
                }

                return [.. results.Skip((Tokens - last) * 64)];
            }
        }
    }

    /// <summary>Convolution, delta rule and attention of one sequence, fed the same inputs in steps of any size.</summary>
    private sealed class Mixers(LinearAttentionConfig linear, AttentionConfig full, KvDtype type, int tokens, int seed)
    {
        public float[] Run(int threads, int chunk)
        {
            Random random = new(seed);
            using CpuBackend backend = new(new CpuOptions { Threads = threads, KvDtype = type });
            using CacheArena statesArena = backend.CreateArena(CacheShape.OfStates(1, linear), 0, 2);
            StateCache states = statesArena.States!;
            using CacheArena kvArena = backend.CreateArena(new CacheShape(1, full.KvHeads, full.HeadDim), 12, 0);
            KvCache kv = kvArena.Kv!;
            Vector conv = backend.LoadVector(Rig.Normal(random, linear.ConvChannels * linear.ConvKernel));
            Vector aLog = backend.LoadVector(Rig.Normal(random, linear.ValueHeads));
            Vector dtBias = backend.LoadVector(Rig.Normal(random, linear.ValueHeads));
            Vector norm = backend.LoadVector(Rig.Normal(random, full.HeadDim));
            int[] widths =
                [linear.ConvChannels, linear.ValueHeads, linear.ValueHeads, full.QueryHeads * full.HeadDim, full.KvHeads * full.HeadDim,
                full.KvHeads * full.HeadDim, full.QueryHeads * full.HeadDim];
            float[][] inputs = [.. widths.Select(width => Rig.Normal(random, tokens * width))];
            List<float>[] results = [[], []];
            StepBatch batch = new(tokens);
            for (int first = 0; first < tokens; first += chunk)
            {
                int rows = Math.Min(chunk, tokens - first);
                Activation[] x = [.. inputs.Select((values, i) => Rig.Of(backend, values[(first * widths[i])..((first + rows) * widths[i])], rows))];
                batch.Clear();
                batch.Add(new int[rows], first, 1, [11, 3, 5, 0, 1, 9, 8, 2, 4, 10], LogitsWanted.None);
                backend.BeginStep(batch);
                Activation mixed = Rig.Empty(backend, rows, linear.ConvChannels);
                backend.CausalConv(batch, x[0], conv, states, 0, mixed);
                Activation o = Rig.Empty(backend, rows, linear.ValueHeads * linear.ValueDim);
                backend.GatedDeltaRule(batch, mixed, x[1], x[2], aLog, dtBias, states, 0, o);
                results[0].AddRange(Rig.Read(backend, o, rows));
                backend.QkNormRopeAndStore(batch, full, x[3], x[4], x[5], norm, norm, 1e-6f, kv, 0);
                Activation y = Rig.Empty(backend, rows, full.QueryHeads * full.HeadDim);
                backend.Attention(batch, full, x[3], x[6], kv, 0, y);
                results[1].AddRange(Rig.Read(backend, y, rows));
            }

            return [.. results[0], .. results[1]];
        }
    }
}
