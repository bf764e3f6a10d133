using Sluice.Backends;
using Sluice.Core;

namespace Sluice.Tests.Operations;

/// <summary>
/// Operations on random shapes and inputs, the same for every backend that is given: what comes out is compared with the scalar
/// reference, and bit by bit between instruction sets and numbers of threads. Widths are multiples of <see cref="Granularity.Width"/>, which each
/// project sets as its device needs.
/// </summary>
internal static class OperationCases
{
    /// <summary>Name, the operation, and how far from the reference it may be, relative to the largest number.</summary>
    public static readonly (string Name, Func<IBackend, int, float[]> Run, double Tolerance)[] All =
    [
        ("embed", Embed, 0),
        ("embed tied", EmbedTied, 0),
        ("norm", Norm, 1e-6),
        ("add", Add, 0),
        ("linear", Linear, 2e-6),
        ("linear of many rows", LinearOfManyRows, 2e-6),
        ("swiglu", SwiGlu, 1e-6),
        ("gather", Gather, 0),
        ("convolution", Convolution, 1e-6),
        ("delta rule", DeltaRule, 5e-6),
        ("delta rule of long spans", DeltaRuleOfLongSpans, 5e-6),
        ("gated deltanet", GatedDeltaNet, 2e-5),
        ("gated norm", GatedNorm, 1e-6),
        ("attention", Attention, 5e-6),
        ("route and experts", Experts, 3e-6),
        ("experts beside a shared one", ExpertsBesideShared, 2e-5),
        ("add gated", AddGated, 1e-6),
    ];

    private static float[] Embed(IBackend backend, int seed) => Embed(backend, seed, MatrixUse.Embedding);

    private static float[] EmbedTied(IBackend backend, int seed) => Embed(backend, seed, MatrixUse.EmbeddingAndLinear);

    private static float[] Embed(IBackend backend, int seed, MatrixUse use)
    {
        Random random = new(seed);
        int width = Width(random, 200);
        int rows = random.Next(1, 90);
        Matrix table = backend.LoadMatrix(use, RandomMatrix.OfAnyType(random, rows, width), RandomMatrix.OfAnyType(random, 7, width));
        StepBatch batch = new(20);
        batch.Add([.. Enumerable.Range(0, 12).Select(_ => random.Next(rows + 7))], 0, 0, [0], LogitsWanted.None);
        backend.BeginStep(batch);
        Activation hidden = Rig.Empty(backend, 20, width, isPrecise: random.Next(2) == 0);
        backend.Embed(batch, table, hidden);
        return Rig.Read(backend, hidden, 12);
    }

    private static float[] Norm(IBackend backend, int seed)
    {
        Random random = new(seed);
        (int rows, int width) = (random.Next(1, 20), Width(random, 300));
        Activation x = Rig.Of(backend, Rig.Normal(random, rows * width, 3), rows, isPrecise: random.Next(2) == 0);
        Activation delta = Rig.Of(backend, Rig.Normal(random, rows * width), rows);
        Vector weight = backend.LoadVector(Rig.Normal(random, width));
        Activation y = Rig.Empty(backend, rows, width);
        Activation z = Rig.Empty(backend, rows, width);
        backend.RmsNorm(x, weight, 1e-6f, y, rows);
        backend.AddRmsNorm(x, delta, weight, 1e-6f, z, rows);
        return [.. Rig.Read(backend, y, rows), .. Rig.Read(backend, z, rows), .. Rig.Read(backend, x, rows)];
    }

    private static float[] Add(IBackend backend, int seed)
    {
        Random random = new(seed);
        (int rows, int width) = (random.Next(1, 20), Width(random, 300));
        Activation x = Rig.Of(backend, Rig.Normal(random, rows * width), rows, isPrecise: random.Next(2) == 0);
        backend.Add(x, Rig.Of(backend, Rig.Normal(random, rows * width), rows), rows);
        return Rig.Read(backend, x, rows);
    }

    private static float[] Linear(IBackend backend, int seed)
    {
        Random random = new(seed);
        return Linear(backend, random, random.Next(1, 34), Width(random, 700), random.Next(1, 120));
    }

    /// <summary>More rows than a block, more columns than a block, more panels than an item.</summary>
    private static float[] LinearOfManyRows(IBackend backend, int seed)
    {
        Random random = new(seed);
        return Linear(backend, random, 500 + random.Next(20), Whole(257 + random.Next(20)), 65 + random.Next(60));
    }

    private static float[] Linear(IBackend backend, Random random, int rows, int columns, int outputs)
    {
        MatrixSource[] parts =
            [RandomMatrix.OfAnyType(random, outputs, columns), RandomMatrix.OfAnyType(random, random.Next(1, 40), columns),
            RandomMatrix.OfAnyType(random, random.Next(1, 40), columns)];
        Matrix weight = backend.LoadMatrix(MatrixUse.Linear, parts);
        Activation x = Rig.Of(backend, Rig.Normal(random, rows * columns), rows);
        Vector? bias = random.Next(2) == 0 ? null : backend.LoadVector(Rig.Normal(random, weight.Rows));
        Activation y = Rig.Empty(backend, rows, weight.Rows);
        backend.Linear(x, weight, bias, y, rows);
        return Rig.Read(backend, y, rows);
    }

    private static float[] SwiGlu(IBackend backend, int seed)
    {
        Random random = new(seed);
        (int rows, int width) = (random.Next(1, 20), Width(random, 200));
        Activation y = Rig.Empty(backend, rows, width);
        backend.SwiGlu(Rig.Of(backend, Rig.Normal(random, rows * 2 * width, 4), rows, isPrecise: random.Next(2) == 0), y, rows);
        return Rig.Read(backend, y, rows);
    }

    private static float[] Gather(IBackend backend, int seed)
    {
        Random random = new(seed);
        StepBatch batch = new(30);
        batch.Add(new int[7], 0, 0, [0], LogitsWanted.Last);
        batch.Add(new int[3], 0, 1, [1], LogitsWanted.None);
        batch.Add(new int[4], 0, 2, [2], LogitsWanted.All);
        backend.BeginStep(batch);
        int width = Whole(33);
        bool isPrecise = random.Next(2) == 0;
        Activation y = Rig.Empty(backend, 8, width, isPrecise);
        backend.GatherLogitRows(batch, Rig.Of(backend, Rig.Normal(random, 14 * width), 14, isPrecise), y);
        return Rig.Read(backend, y, 5);
    }

    private static float[] Convolution(IBackend backend, int seed)
    {
        Random random = new(seed);
        LinearAttentionConfig shape = Shape(random);
        using CacheArena statesArena = backend.CreateArena(CacheShape.OfStates(2, shape), 0, Steps.Slots);
        StateCache states = statesArena.States!;
        Vector weight = backend.LoadVector(Rig.Normal(random, shape.ConvChannels * shape.ConvKernel));
        Activation mixed = Rig.Empty(backend, Steps.MaxTokens, shape.ConvChannels);
        List<float> results = [];
        Steps.Run(backend, random, batch =>
        {
            Activation qkv = Rig.Of(backend, Rig.Normal(random, batch.TokenCount * shape.ConvChannels), batch.TokenCount);
            backend.CausalConv(batch, qkv, weight, states, 1, mixed);
            results.AddRange(Rig.Read(backend, mixed, batch.TokenCount));
            mixed = Rig.Empty(backend, Steps.MaxTokens, shape.ConvChannels);
        });
        return [.. results];
    }

    private static float[] DeltaRule(IBackend backend, int seed)
    {
        Random random = new(seed);
        return DeltaRule(backend, random, Shape(random), longest: 50);
    }

    /// <summary>Heads as real models have them, of several chunks.</summary>
    private static float[] DeltaRuleOfLongSpans(IBackend backend, int seed)
    {
        Random random = new(seed);
        int keyHeads = random.Next(1, 3);
        return DeltaRule(backend, random, new LinearAttentionConfig(keyHeads, keyHeads * random.Next(1, 5), 128, 128, 4), longest: 150);
    }

    private static float[] DeltaRule(IBackend backend, Random random, LinearAttentionConfig shape, int longest)
    {
        int values = shape.ValueHeads * shape.ValueDim;
        using CacheArena statesArena = backend.CreateArena(CacheShape.OfStates(2, shape), 0, Steps.Slots);
        StateCache states = statesArena.States!;
        Vector aLog = backend.LoadVector(Rig.Normal(random, shape.ValueHeads));
        Vector dtBias = backend.LoadVector(Rig.Normal(random, shape.ValueHeads));
        List<float> results = [];
        Steps.Run(backend, random, batch =>
        {
            int rows = batch.TokenCount;
            Activation mixed = Rig.Of(backend, Rig.Normal(random, rows * shape.ConvChannels), rows);
            Activation b = Rig.Of(backend, Rig.Normal(random, rows * shape.ValueHeads), rows);
            Activation a = Rig.Of(backend, Rig.Normal(random, rows * shape.ValueHeads, 3), rows);
            Activation o = Rig.Empty(backend, rows, values);
            backend.GatedDeltaRule(batch, mixed, b, a, aLog, dtBias, states, 1, o);
            results.AddRange(Rig.Read(backend, o, rows));
        }, longest);
        return [.. results];
    }

    /// <summary>Convolution, rule and norm together, mostly of single tokens, which a backend may do in one.</summary>
    private static float[] GatedDeltaNet(IBackend backend, int seed)
    {
        Random random = new(seed);
        int keyHeads = random.Next(1, 3);
        int valueDim = random.Next(4) switch { 0 => 32, 1 => 64, 2 => 128, _ => Width(random, 70) };
        LinearAttentionConfig shape = new(keyHeads, keyHeads * random.Next(1, 4), random.Next(2) == 0 ? 128 : Width(random, 70), valueDim, random.Next(1, 6));
        int values = shape.ValueHeads * shape.ValueDim;
        using CacheArena statesArena = backend.CreateArena(CacheShape.OfStates(2, shape), 0, Steps.Slots);
        StateCache states = statesArena.States!;
        DeltaNetVectors weights = new(
            backend.LoadVector(Rig.Normal(random, shape.ConvChannels * shape.ConvKernel)), backend.LoadVector(Rig.Normal(random, shape.ValueHeads)),
            backend.LoadVector(Rig.Normal(random, shape.ValueHeads)), backend.LoadVector(Rig.Normal(random, shape.ValueDim)), 1e-6f);
        List<float> results = [];
        Steps.Run(backend, random, batch =>
        {
            int rows = batch.TokenCount;
            Activation Filled(int width, float scale = 1) => Rig.Of(backend, Rig.Normal(random, rows * width, scale), rows);
            Activation Room(int width) => Rig.Empty(backend, rows, width);
            DeltaNetActivations x = new(
                Filled(shape.ConvChannels), Filled(values, 2), Filled(shape.ValueHeads), Filled(shape.ValueHeads, 3), Room(shape.ConvChannels), Room(values),
                Room(values));
            backend.GatedDeltaNet(batch, x, weights, states, 1);
            results.AddRange(Rig.Read(backend, x.Gated, rows));
        }, singles: true);
        return [.. results];
    }

    private static float[] GatedNorm(IBackend backend, int seed)
    {
        Random random = new(seed);
        (int rows, int heads, int width) = (random.Next(1, 9), random.Next(1, 5), Width(random, 70));
        Activation o = Rig.Of(backend, Rig.Normal(random, rows * heads * width), rows);
        Activation z = Rig.Of(backend, Rig.Normal(random, rows * heads * width, 3), rows);
        Activation y = Rig.Empty(backend, rows, heads * width);
        backend.GatedRmsNorm(o, z, backend.LoadVector(Rig.Normal(random, width)), 1e-6f, y, rows);
        return Rig.Read(backend, y, rows);
    }

    internal static float[] Attention(IBackend backend, int seed)
    {
        Random random = new(seed);
        int kvHeads = random.Next(1, 4);
        int headDim = Whole(random.Next(1, 50) * 2);
        AttentionConfig shape = new(
            kvHeads * random.Next(1, 9), kvHeads, headDim, random.Next(1, (headDim / 2) + 1) * 2, 1e6, OutputGate: random.Next(2) == 0, Bias: false);
        (int queries, int keys) = (shape.QueryHeads * headDim, kvHeads * headDim);
        using CacheArena kvArena = backend.CreateArena(new CacheShape(2, kvHeads, headDim), Steps.Pages, 0);
        KvCache kv = kvArena.Kv!;
        Vector qNorm = backend.LoadVector(Rig.Normal(random, headDim));
        Vector kNorm = backend.LoadVector(Rig.Normal(random, headDim));
        List<float> results = [];
        Steps.Run(backend, random, batch =>
        {
            int rows = batch.TokenCount;
            Activation q = Rig.Of(backend, Rig.Normal(random, rows * queries), rows);
            Activation k = Rig.Of(backend, Rig.Normal(random, rows * keys), rows);
            Activation v = Rig.Of(backend, Rig.Normal(random, rows * keys), rows);
            Activation? gate = shape.OutputGate ? Rig.Of(backend, Rig.Normal(random, rows * queries, 2), rows) : null;
            Activation y = Rig.Empty(backend, rows, queries);
            backend.QkNormRopeAndStore(batch, shape, q, k, v, qNorm, kNorm, 1e-6f, kv, 1);
            backend.Attention(batch, shape, q, gate, kv, 1, y);
            results.AddRange(Rig.Read(backend, y, rows));
        });
        return [.. results];
    }

    private static float[] Experts(IBackend backend, int seed)
    {
        Random random = new(seed);
        (int hidden, int inner, int count) = (Width(random, 150), Width(random, 100), random.Next(Granularity.LeastExperts, 12));
        int topK = random.Next(1, count + 1);
        int rows = random.Next(3) == 0 ? random.Next(20, 400) : random.Next(1, 20);
        List<ExpertSource> sources = RandomExperts(random, count, hidden, inner);
        Routing routing = backend.AllocateRouting(rows, topK);
        backend.Route(Rig.Of(backend, Rig.Normal(random, rows * count), rows, isPrecise: true), random.Next(2) == 0, routing, rows);
        Activation y = Rig.Empty(backend, rows, hidden);
        backend.Experts(Rig.Of(backend, Rig.Normal(random, rows * hidden), rows), routing, backend.LoadExperts(sources), y, rows);
        return Rig.Read(backend, y, rows);
    }

    // A whole mixture, and the addition and norm after it.
    private static float[] ExpertsBesideShared(IBackend backend, int seed)
    {
        Random random = new(seed);
        (int hidden, int inner, int shared) = (Width(random, 150), Width(random, 100), Width(random, 100));
        int count = random.Next(Granularity.LeastExperts, 80);
        int topK = random.Next(1, Math.Min(count, 12) + 1);
        int rows = random.Next(3) switch { 0 => 1, 1 => random.Next(2, 17), _ => random.Next(17, 60) };
        List<ExpertSource> sources = RandomExperts(random, count, hidden, inner);
        int width = (2 * shared) + count + 1;
        Activation inputs = Rig.Of(backend, Rig.Normal(random, rows * width), rows, isPrecise: true);
        SharedExpertActivations activations = new(inputs.Columns(0, 2 * shared), Rig.Empty(backend, rows, shared), Rig.Empty(backend, rows, hidden));
        Matrix down = backend.LoadMatrix(MatrixUse.Linear, RandomMatrix.OfAnyType(random, hidden, shared));
        Routing routing = backend.AllocateRouting(rows, topK);
        backend.Anticipate(down);
        backend.RouteBesideShared(inputs.Columns(2 * shared, count), random.Next(2) == 0, routing, activations, down, rows);
        Activation delta = Rig.Empty(backend, rows, hidden);
        backend.Experts(
            Rig.Of(backend, Rig.Normal(random, rows * hidden), rows), routing, backend.LoadExperts(sources), activations.Result,
            inputs.Columns((2 * shared) + count, 1), delta, rows);
        float[] sums = random.Next(2) == 0 ? Rig.Read(backend, delta, rows) : [];
        Activation residual = Rig.Of(backend, Rig.Normal(random, rows * hidden), rows, isPrecise: random.Next(2) == 0);
        Activation y = Rig.Empty(backend, rows, hidden);
        if (random.Next(3) == 0)
        {
            backend.Add(residual, delta, rows);
            return [.. sums, .. Rig.Read(backend, residual, rows)];
        }

        backend.AddRmsNorm(residual, delta, backend.LoadVector(Rig.Normal(random, hidden)), 1e-6f, y, rows);
        return [.. sums, .. Rig.Read(backend, residual, rows), .. Rig.Read(backend, y, rows)];
    }

    private static float[] AddGated(IBackend backend, int seed)
    {
        Random random = new(seed);
        (int rows, int width) = (random.Next(1, 20), Width(random, 200));
        Activation y = Rig.Of(backend, Rig.Normal(random, rows * width), rows);
        backend.AddGated(
            Rig.Of(backend, Rig.Normal(random, rows * width), rows), Rig.Of(backend, Rig.Normal(random, rows, 3), rows), y, rows);
        return Rig.Read(backend, y, rows);
    }

    private static List<ExpertSource> RandomExperts(Random random, int count, int hidden, int inner)
    {
        List<ExpertSource> sources = [];
        for (int e = 0; e < count; e++)
        {
            DType type = random.Next(3) switch { 0 => DType.F32, 1 => DType.F8E4M3, _ => DType.BF16 };
            int block = type == DType.F8E4M3 ? 16 : 0;
            sources.Add(new(
                new RandomMatrix(random, type, inner, hidden, block), new RandomMatrix(random, type, inner, hidden, block),
                RandomMatrix.OfAnyType(random, hidden, inner)));
        }

        return sources;
    }

    private static LinearAttentionConfig Shape(Random random)
    {
        int keyHeads = random.Next(1, 4);
        return new LinearAttentionConfig(keyHeads, keyHeads * random.Next(1, 4), Width(random, 70), Width(random, 70), random.Next(1, 6));
    }

    /// <summary>A random width below <paramref name="limit"/>.</summary>
    private static int Width(Random random, int limit) => Whole(random.Next(1, limit));

    private static int Whole(int width) => (width + Granularity.Width - 1) / Granularity.Width * Granularity.Width;
}
