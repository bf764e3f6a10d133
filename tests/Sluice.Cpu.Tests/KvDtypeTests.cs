using Sluice.Backends;
using Sluice.Backends.Reference;
using Sluice.Core;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Memory;
using Sluice.Tests.Operations;

namespace Sluice.Cpu.Tests;

/// <summary>Keys and values that are kept in fewer bits than they were computed in.</summary>
public sealed unsafe class KvDtypeTests
{
    public static TheoryData<KvDtype> Types => [KvDtype.Float32, KvDtype.BF16, KvDtype.Int8];

    /// <summary>
    /// The reference rounds the same keys and values. They differ in their last bits, so that now and then one falls to the other side: what that may cost
    /// is the tolerance, and <see cref="Attends_to_exactly_what_is_kept"/> has none of it.
    /// </summary>
    [Theory]
    [InlineData(KvDtype.BF16, 2e-3)]
    [InlineData(KvDtype.Int8, 5e-3)]
    public void Agrees_with_the_reference_on_every_instruction_set(KvDtype type, double tolerance)
    {
        for (int seed = 0; seed < 12; seed++)
        {
            float[] expected = OperationTests.Run(new ReferenceBackend(type), OperationCases.Attention, seed);
            float[]? first = null;
            foreach ((KernelSet kernels, int threads) in OperationTests.Ways())
            {
                float[] found = OperationTests.Run(new CpuBackend(new CpuOptions { Threads = threads, KvDtype = type }, kernels), OperationCases.Attention, seed);
                string what = $"{type}, seed {seed}, {kernels.Name}, {threads} threads";
                OperationTests.AssertClose(expected, found, tolerance, what);
                OperationTests.AssertSame(first ??= found, found, what);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Attends_to_exactly_what_is_kept(KvDtype type)
    {
        foreach ((int headDim, int group, int keys) in ((int, int, int)[])[(2, 1, 3), (16, 8, 64), (40, 3, 65), (96, 7, 200), (256, 8, 1100)])
        {
            foreach ((KernelSet kernels, int threads) in OperationTests.Ways())
                Check(type, kernels, threads, headDim, group, keys);
        }
    }

    /// <summary>Fast products round queries and weights too; assembled tiles give the bits of managed code.</summary>
    [Fact]
    public void Rounded_queries_and_weights_agree_on_every_instruction_set()
    {
        for (int seed = 0; seed < 12; seed++)
        {
            float[] expected = OperationTests.Run(new ReferenceBackend(KvDtype.BF16), OperationCases.Attention, seed);
            float[]? first = null;
            foreach ((KernelSet kernels, int threads) in FastProductTests.Ways())
            {
                float[] found = OperationTests.Run(new CpuBackend(new CpuOptions { Threads = threads, KvDtype = KvDtype.BF16 }, kernels), OperationCases.Attention, seed);
                string what = $"seed {seed}, {kernels.Name}, {threads} threads";
                OperationTests.AssertClose(expected, found, 1e-2, what);
                OperationTests.AssertSame(first ??= found, found, what);
            }
        }

        foreach ((int headDim, int group, int keys) in ((int, int, int)[])[(2, 1, 3), (16, 8, 64), (40, 3, 65), (96, 7, 200), (128, 13, 79), (256, 8, 1100)])
        {
            float[]? first = null;
            foreach ((KernelSet kernels, int threads) in FastProductTests.Ways())
            {
                float[] found = Check(KvDtype.BF16, kernels, threads, headDim, group, keys, tolerance: 8e-3);
                OperationTests.AssertSame(first ??= found, found, $"{kernels.Name}, {headDim} x {keys}");
            }
        }
    }

    /// <summary>Tokens of one step share tiles; what only the last of them sees may not reach the others.</summary>
    [Fact]
    public void A_value_that_is_no_number_reaches_only_those_who_see_it()
    {
        const int Keys = 91, Tokens = 30, Group = 3, HeadDim = 40;
        foreach ((KernelSet kernels, int threads) in FastProductTests.Ways())
        {
            float[] clean = Run(kernels, threads, 1);
            float[] found = Run(kernels, threads, float.PositiveInfinity);
            OperationTests.AssertSame(clean[..((Tokens - 1) * Group * HeadDim)], found[..((Tokens - 1) * Group * HeadDim)], kernels.Name);
            Assert.All(found[((Tokens - 1) * Group * HeadDim)..], value => Assert.False(float.IsFinite(value)));
        }

        static float[] Run(KernelSet kernels, int threads, float last)
        {
            Random random = new(3);
            using CpuBackend backend = new(new CpuOptions { Threads = threads, KvDtype = KvDtype.BF16 }, kernels);
            using CacheArena arena = backend.CreateArena(new CacheShape(1, 1, HeadDim), (Keys / 16) + 1, 0);
            var kv = (CpuKvCache)arena.Kv!;
            for (int position = 0; position < Keys; position++)
            {
                float[] value = position == Keys - 1 ? [.. Enumerable.Repeat(last, HeadDim)] : Rig.Normal(random, HeadDim);
                fixed (float* k = Rig.Normal(random, HeadDim), v = value)
                    kv.Store(0, position / 16, 0, position % 16, k, v);
            }

            return Attend(backend, kv, Rig.Normal(random, Tokens * Group * HeadDim), Group, Keys - Tokens, Tokens);
        }
    }

    [Fact]
    public void Pages_take_the_bytes_of_their_type()
    {
        CacheShape shape = new(3, 2, 256, 9, new LinearAttentionConfig(16, 32, 128, 128, 4));
        long float32 = PageBytes(KvDtype.Float32);
        Assert.Equal(float32 / 2, PageBytes(KvDtype.Auto));
        using (CpuBackend precise = new(new CpuOptions { Threads = 1, Activations = ActivationPrecision.Float32 }))
            Assert.Equal(float32, precise.GeometryOf(shape).PageBytes);
        Assert.Equal(3 * 2 * 2 * 256 * 16 * 4, float32);
        Assert.Equal(float32 / 2, PageBytes(KvDtype.BF16));
        Assert.Equal((float32 / 4) + (3 * 2 * 2 * 16 * sizeof(float)), PageBytes(KvDtype.Int8));
        foreach (KvDtype type in (KvDtype[])[KvDtype.Float32, KvDtype.BF16, KvDtype.Int8])
            Assert.Equal(PageBytes(type), 3 * 2 * 2 * 16 * type.BytesOfHead(256));

        long PageBytes(KvDtype type)
        {
            using CpuBackend backend = new(new CpuOptions { Threads = 1, KvDtype = type });
            return backend.GeometryOf(shape).PageBytes;
        }
    }

    [Fact]
    public void An_odd_head_is_for_float32_alone()
    {
        using CpuBackend backend = new(new CpuOptions { Threads = 1, KvDtype = KvDtype.Int8 });
        BackendException error = Assert.Throws<BackendException>(() => backend.GeometryOf(new CacheShape(1, 1, 7)));
        Assert.Contains("even number of elements", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void A_page_that_nobody_wrote_shows(KvDtype type)
    {
        using CpuBackend backend = new(new CpuOptions { Threads = 2, KvDtype = type });
        using CacheArena arena = backend.CreateArena(new CacheShape(1, 1, 32), 2, 0);
        arena.PoisonPage(0);
        float[] y = Attend(backend, arena.Kv!, new float[32], group: 1, position: 0);
        Assert.All(y, value => Assert.True(float.IsNaN(value)));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void What_is_no_number_shows_after_rounding(float wrong)
    {
        float[] x = [1, 2, wrong, 4];
        sbyte[] rounded = new sbyte[4];
        Assert.True(float.IsNaN(KvRounding.ToInt8(x, rounded)));
        Assert.Equal(0, KvRounding.ToInt8([0, 0], rounded));
        Assert.Equal(2 / 127f, KvRounding.ToInt8([1, -2], rounded));
        Assert.Equal([64, -127], rounded[..2]);
    }

    private static float[] Check(KvDtype type, KernelSet kernels, int threads, int headDim, int group, int keys, double tolerance = 4e-6)
    {
        Random random = new(headDim);
        using CpuBackend backend = new(new CpuOptions { Threads = threads, KvDtype = type }, kernels);
        using CacheArena arena = backend.CreateArena(new CacheShape(1, 1, headDim), (keys / 16) + 1, 0);
        CpuKvCache kv = (CpuKvCache)arena.Kv!;
        float[][] kept = new float[2 * keys][];
        for (int position = 0; position < keys; position++)
        {
            (float[] key, float[] value) = (Rig.Normal(random, headDim), Rig.Normal(random, headDim));
            fixed (float* k = key, v = value)
                kv.Store(0, position / 16, 0, position % 16, k, v);
            KvRounding.Round(type, key);
            KvRounding.Round(type, value);
            (kept[2 * position], kept[(2 * position) + 1]) = (key, value);
        }

        float[] queries = Rig.Normal(random, group * headDim);
        float[] found = Attend(backend, kv, queries, group, keys - 1);
        for (int head = 0; head < group; head++)
        {
            double[] scores = new double[keys];
            for (int position = 0; position < keys; position++)
            {
                for (int i = 0; i < headDim; i++)
                    scores[position] += (double)queries[(head * headDim) + i] * kept[2 * position][i] / Math.Sqrt(headDim);
            }

            double largest = scores.Max();
            double total = scores.Sum(score => Math.Exp(score - largest));
            for (int i = 0; i < headDim; i++)
            {
                double expected = 0;
                for (int position = 0; position < keys; position++)
                    expected += Math.Exp(scores[position] - largest) / total * kept[(2 * position) + 1][i];
                if (!(Math.Abs(expected - found[(head * headDim) + i]) < tolerance))
                    Assert.Fail($"{type}, {kernels.Name}, {headDim} x {keys}: head {head}, element {i} is {found[(head * headDim) + i]:r}, expected {expected:r}");
            }
        }

        return found;
    }

    private static float[] Attend(CpuBackend backend, KvCache kv, float[] queries, int group, int position, int tokens = 1)
    {
        int width = queries.Length / tokens;
        StepBatch batch = new(tokens);
        batch.Add(new int[tokens], position, 0, [.. Enumerable.Range(0, ((position + tokens - 1) / 16) + 1)], LogitsWanted.None);
        backend.BeginStep(batch);
        Activation y = Rig.Empty(backend, tokens, width);
        AttentionConfig shape = new(group, 1, width / group, 2, 1e6, OutputGate: false, Bias: false);
        backend.Attention(batch, shape, Rig.Of(backend, queries, tokens), null, kv, 0, y);
        return Rig.Read(backend, y, tokens);
    }
}
