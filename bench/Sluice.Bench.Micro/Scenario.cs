using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu;
using Sluice.Tests.Operations;

namespace Sluice.Bench.Micro;

/// <summary>One operation at a size that a real model has, ready to run again and again.</summary>
internal sealed class Scenario
{
    private Scenario(Action run) => Run = run;

    /// <summary>Does it once.</summary>
    public Action Run { get; }

    /// <summary>The weights' type, which says what the multiply-adds are.</summary>
    public DType Type { get; private init; }

    /// <summary>Multiply-adds of a run.</summary>
    public double MultiplyAdds { get; private init; }

    /// <summary>Bytes of weights, keys, values or states that a run must read, and write where it updates.</summary>
    public double Bytes { get; private init; }

    /// <summary>A linear layer, [<paramref name="outputs"/>, <paramref name="columns"/>].</summary>
    public static Scenario Linear(CpuBackend backend, DType type, int rows, int columns, int outputs)
    {
        Matrix weight = backend.LoadMatrix(MatrixUse.Linear, Weights(type, outputs, columns));
        Activation x = Filled(backend, rows, columns);
        Activation y = backend.Allocate(rows, outputs);
        return new Scenario(() => backend.Linear(x, weight, null, y, rows))
        {
            Type = type,
            MultiplyAdds = (double)rows * columns * outputs,
            Bytes = weight.Bytes,
        };
    }

    /// <summary>A layer of experts, each row choosing at random.</summary>
    public static Scenario Experts(CpuBackend backend, DType type, int rows, int hidden, int inner, int experts, int topK)
    {
        ExpertWeights weights = backend.LoadExperts([.. Enumerable.Range(0, experts).Select(_ => new ExpertSource(
            Weights(type, inner, hidden), Weights(type, inner, hidden), Weights(type, hidden, inner)))]);
        Activation logits = Filled(backend, rows, experts);
        Routing routing = backend.AllocateRouting(rows, topK);
        backend.Route(logits, normalise: true, routing, rows);
        Activation x = Filled(backend, rows, hidden);
        Activation y = backend.Allocate(rows, hidden);
        double touched = experts * (1 - Math.Pow(1 - ((double)topK / experts), rows));
        return new Scenario(() => backend.Experts(x, routing, weights, y, rows))
        {
            Type = type,
            MultiplyAdds = 3.0 * rows * topK * hidden * inner,
            Bytes = weights.Bytes * touched / experts,
        };
    }

    /// <summary>The gated delta rule: <paramref name="tokens"/> more tokens of each of some sequences.</summary>
    public static Scenario DeltaRule(CpuBackend backend, LinearAttentionConfig shape, int sequences, int tokens)
    {
        CacheArena statesArena = backend.CreateArena(CacheShape.OfStates(1, shape), 0, sequences);
        StateCache states = statesArena.States!;
        StepBatch first = Batch(sequences, tokens, firstPosition: 0);
        StepBatch batch = Batch(sequences, tokens, firstPosition: tokens);
        Activation mixed = Filled(backend, batch.TokenCount, shape.ConvChannels);
        Activation b = Filled(backend, batch.TokenCount, shape.ValueHeads);
        Activation a = Filled(backend, batch.TokenCount, shape.ValueHeads);
        Vector aLog = backend.LoadVector(new float[shape.ValueHeads]);
        Vector dtBias = backend.LoadVector(new float[shape.ValueHeads]);
        Activation o = backend.Allocate(batch.TokenCount, shape.ValueHeads * shape.ValueDim);
        backend.GatedDeltaRule(first, mixed, b, a, aLog, dtBias, states, 0, o);
        return new Scenario(() => backend.GatedDeltaRule(batch, mixed, b, a, aLog, dtBias, states, 0, o))
        {
            MultiplyAdds = 4.0 * batch.TokenCount * shape.StateElements,
            Bytes = 2.0 * sizeof(float) * sequences * shape.StateElements,
        };
    }

    /// <summary>The causal convolution before it.</summary>
    public static Scenario Convolution(CpuBackend backend, LinearAttentionConfig shape, int tokens)
    {
        CacheArena statesArena = backend.CreateArena(CacheShape.OfStates(1, shape), 0, 1);
        StateCache states = statesArena.States!;
        StepBatch batch = Batch(1, tokens, firstPosition: 0);
        Activation qkv = Filled(backend, tokens, shape.ConvChannels);
        Activation mixed = backend.Allocate(tokens, shape.ConvChannels);
        Vector weight = backend.LoadVector(new float[shape.ConvChannels * shape.ConvKernel]);
        return new Scenario(() => backend.CausalConv(batch, qkv, weight, states, 0, mixed))
        {
            MultiplyAdds = (double)tokens * shape.ConvChannels * shape.ConvKernel,
            Bytes = 2.0 * sizeof(float) * tokens * shape.ConvChannels,
        };
    }

    /// <summary>Attention of the last <paramref name="tokens"/> of <paramref name="context"/> positions.</summary>
    public static Scenario Attention(CpuBackend backend, AttentionConfig shape, int sequences, int tokens, int context)
    {
        int pages = (context + KvCache.PageTokens - 1) / KvCache.PageTokens;
        CacheArena kvArena = backend.CreateArena(new CacheShape(1, shape.KvHeads, shape.HeadDim), sequences * pages, 0);
        KvCache kv = kvArena.Kv!;
        (int queries, int keys) = (shape.QueryHeads * shape.HeadDim, shape.KvHeads * shape.HeadDim);
        Vector norm = backend.LoadVector(Enumerable.Repeat(1f, shape.HeadDim).ToArray());
        const int Chunk = 256;
        for (int at = 0; at < context; at += Chunk)
        {
            int count = Math.Min(Chunk, context - at);
            StepBatch filling = Batch(sequences, count, at, pages);
            backend.BeginStep(filling);
            backend.QkNormRopeAndStore(
                filling, shape, Filled(backend, filling.TokenCount, queries), Filled(backend, filling.TokenCount, keys),
                Filled(backend, filling.TokenCount, keys), norm, norm, 1e-6f, kv, 0);
        }

        StepBatch batch = Batch(sequences, tokens, context - tokens, pages);
        backend.BeginStep(batch);
        Activation q = Filled(backend, batch.TokenCount, queries);
        Activation gate = Filled(backend, batch.TokenCount, queries);
        Activation y = backend.Allocate(batch.TokenCount, queries);
        double seen = tokens * (context - ((tokens - 1) / 2.0));
        return new Scenario(() => backend.Attention(batch, shape, q, gate, kv, 0, y))
        {
            MultiplyAdds = 2.0 * sequences * seen * queries,
            Bytes = 2.0 * sizeof(float) * sequences * context * keys,
        };
    }

    /// <summary>Packing weights at load, which is done once: into memory that is taken and given back.</summary>
    public static Scenario Packing(DType type)
    {
        RandomWeights weights = new(type, 16384, 2048);
        return new Scenario(() =>
        {
            using CpuBackend backend = new(new CpuOptions { Threads = 1 });
            backend.LoadMatrix(MatrixUse.Linear, weights);
        })
        {
            Bytes = weights.ByteLength,
        };
    }

    /// <summary>The smallest fork: a row that is worth two items.</summary>
    public static Scenario Fork(CpuBackend backend)
    {
        Matrix weight = backend.LoadMatrix(MatrixUse.Linear, new RandomWeights(DType.F32, 64, 1100));
        Activation x = Filled(backend, 1, 1100);
        Activation y = backend.Allocate(1, 64);
        return new Scenario(() => backend.Linear(x, weight, null, y, 1)) { MultiplyAdds = 64 * 1100, Bytes = weight.Bytes };
    }

    private static MatrixSource Weights(DType type, int rows, int columns) =>
        type.IsBlocked() ? RandomBlocks.Of(new Random(1), type, rows, columns) : new RandomWeights(type, rows, columns);

    private static StepBatch Batch(int sequences, int tokens, int firstPosition, int pages = -1)
    {
        StepBatch batch = new(sequences * tokens);
        for (int s = 0; s < sequences; s++)
        {
            int[] table = [.. Enumerable.Range(0, pages < 0 ? (firstPosition + tokens + 15) / 16 : pages).Select(page => (page * sequences) + s)];
            batch.Add(new int[tokens], firstPosition, s, table, LogitsWanted.None);
        }

        return batch;
    }

    private static Activation Filled(CpuBackend backend, int rows, int width)
    {
        Activation activation = backend.Allocate(rows, width);
        Random random = new(rows + width);
        float[] values = new float[width];
        for (int row = 0; row < rows; row++)
        {
            for (int i = 0; i < width; i++)
                values[i] = random.NextSingle() - 0.5f;
            backend.Write(values, activation, row);
        }

        return activation;
    }
}
