using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Memory;
using Sluice.Tests.Operations;

namespace Sluice.Cpu.Tests;

/// <summary>What happens over and over: steps without allocation, backends that come and go without leaks.</summary>
public sealed class SteadyStateTests
{
    private static readonly LinearAttentionConfig Linear = new(2, 4, 32, 32, 4);
    private static readonly AttentionConfig Full = new(4, 2, 32, 16, 1e6, OutputGate: true, Bias: false);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_step_allocates_nothing(int threads)
    {
        using CpuBackend backend = new(new CpuOptions { Threads = threads });
        using AllOperations operations = new(backend);
        foreach (int tokens in new[] { 20, 1 })
        {
            for (int i = 0; i < 3; i++)
                operations.Step(tokens, firstPosition: 20 * i);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        operations.Step(20, 100);
        operations.Step(1, 120);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Backends_that_come_and_go_leave_nothing_behind()
    {
        // Other tests hold arenas of their own meanwhile, but not hundreds of them.
        int before = Arena.Outstanding.Count;
        for (int i = 0; i < 60; i++)
        {
            using CpuBackend backend = new(new CpuOptions { Threads = 2 });
            using AllOperations operations = new(backend);
            operations.Step(20, 0);
        }

        Assert.InRange(Arena.Outstanding.Count, 0, before + 55);
    }

    [Fact]
    public void Options_out_of_range_are_refused()
    {
        Assert.Contains("threads: expected 1 to 1024, found 0", Assert.Throws<ConfigurationException>(() => new CpuBackend(new CpuOptions { Threads = 0 })).Message);
        Assert.Throws<ConfigurationException>(() => new CpuBackend(new CpuOptions { Threads = 5000 }));
    }

    [Fact]
    public void A_page_or_slot_that_does_not_exist_is_refused()
    {
        using CpuBackend backend = new(new CpuOptions { Threads = 1 });
        using AllOperations operations = new(backend);
        Assert.Throws<BackendException>(() => operations.Step(1, 0, page: 99));
        Assert.Throws<BackendException>(() => operations.Step(1, 0, slot: 99));
    }

    [Fact]
    public void The_machines_limits_are_plausible()
    {
        MachineLimits limits = MachineLimits.Measure(new CpuOptions { Threads = 1 }, TimeSpan.FromMilliseconds(50));
        Assert.Equal(1, limits.Threads);
        Assert.InRange(limits.ReadBytesPerSecond, 1e5, 1e13);
        Assert.InRange(limits.MultiplyAddsPerSecond, 1e5, 1e13);
        bool hasInt8 = Avx2.IsSupported || Dp.IsSupported;
        Assert.InRange(limits.Int8MultiplyAddsPerSecond, hasInt8 ? 1e5 : 0, hasInt8 ? 1e13 : 0);
        Assert.Equal(hasInt8, limits.DescribeMultiplyAdds().Contains("INT8", StringComparison.Ordinal));
    }

    /// <summary>One layer of everything.</summary>
    private sealed class AllOperations : IDisposable
    {
        private const int Hidden = 64;
        private const int Rows = 20;

        private readonly CpuBackend _backend;
        private readonly StepBatch _batch = new(Rows);
        private readonly CacheArena _arena;
        private readonly StateCache _states;
        private readonly KvCache _kv;
        private readonly Matrix _table;
        private readonly Matrix _wide;
        private readonly Matrix _narrow;
        private readonly ExpertWeights _experts;
        private readonly Vector _norm;
        private readonly Vector _headNorm;
        private readonly Vector _conv;
        private readonly Vector _gates;
        private readonly Routing _routing;
        private readonly Activation _hidden;
        private readonly Activation _delta;
        private readonly Activation _big;
        private readonly Activation _bigger;
        private readonly int[] _tokens = new int[Rows];
        private readonly int[] _pages = new int[10];

        public AllOperations(CpuBackend backend)
        {
            Random random = new(1);
            _backend = backend;
            _arena = backend.CreateArena(new CacheShape(1, Full.KvHeads, Full.HeadDim, 1, Linear), 10, 2);
            _states = _arena.States!;
            _kv = _arena.Kv!;
            _table = backend.LoadMatrix(MatrixUse.Embedding, new RandomMatrix(random, DType.BF16, 30, Hidden));
            _wide = backend.LoadMatrix(MatrixUse.Linear, new RandomMatrix(random, DType.BF16, Linear.ConvChannels, Hidden));
            _narrow = backend.LoadMatrix(MatrixUse.Linear, new RandomMatrix(random, DType.F8E4M3, Hidden, Linear.ConvChannels, 128));
            _experts = backend.LoadExperts([.. Enumerable.Range(0, 4).Select(_ => new ExpertSource(
                new RandomMatrix(random, DType.BF16, 40, Hidden), new RandomMatrix(random, DType.BF16, 40, Hidden), new RandomMatrix(random, DType.BF16, Hidden, 40)))]);
            _norm = backend.LoadVector(Rig.Normal(random, Hidden));
            _headNorm = backend.LoadVector(Rig.Normal(random, 32));
            _conv = backend.LoadVector(Rig.Normal(random, Linear.ConvChannels * Linear.ConvKernel));
            _gates = backend.LoadVector(Rig.Normal(random, Linear.ValueHeads));
            _routing = backend.AllocateRouting(Rows, 2);
            _hidden = backend.Allocate(Rows, Hidden);
            _delta = backend.Allocate(Rows, Hidden);
            _big = backend.Allocate(Rows, Linear.ConvChannels);
            _bigger = backend.Allocate(Rows, Linear.ConvChannels);
            Views = new ViewSet(_big, _bigger, _hidden);
        }

        private ViewSet Views { get; }

        public void Step(int tokens, int firstPosition, int page = 0, int slot = 0)
        {
            _pages.AsSpan().Fill(page);
            _batch.Clear();
            _batch.Add(_tokens.AsSpan(0, tokens), firstPosition, slot, _pages, LogitsWanted.Last);
            _backend.BeginStep(_batch);
            _backend.Embed(_batch, _table, _hidden);
            _backend.RmsNorm(_hidden, _norm, 1e-6f, _delta, tokens);
            _backend.Linear(_delta, _wide, null, _big, tokens);
            _backend.CausalConv(_batch, _big, _conv, _states, 0, _bigger);
            _backend.GatedDeltaRule(_batch, _bigger, Views.B, Views.A, _gates, _gates, _states, 0, Views.Values);
            _backend.GatedRmsNorm(Views.Values, Views.Values, _headNorm, 1e-6f, Views.Values, tokens);
            _backend.Linear(_bigger, _narrow, _norm, _delta, tokens);
            _backend.AddRmsNorm(_hidden, _delta, _norm, 1e-6f, _delta, tokens);
            _backend.QkNormRopeAndStore(_batch, Full, Views.Values, Views.Keys, Views.Keys, _headNorm, _headNorm, 1e-6f, _kv, 0);
            _backend.Attention(_batch, Full, Views.Values, Views.Values, _kv, 0, Views.Attended);
            _backend.Route(Views.Logits, true, _routing, tokens);
            _backend.Experts(_hidden, _routing, _experts, _delta, tokens);
            _backend.SwiGlu(Views.GateUp, Views.Inner, tokens);
            _backend.AddGated(_delta, Views.B, _hidden, tokens);
            _backend.Add(_hidden, _delta, tokens);
            _backend.GatherLogitRows(_batch, _hidden, _delta);
        }

        public void Dispose()
        {
            _arena.Dispose();
        }

        private sealed record ViewSet(Activation Big, Activation Bigger, Activation Hidden)
        {
            public Activation B { get; } = Hidden.Columns(0, Linear.ValueHeads);

            public Activation A { get; } = Hidden.Columns(Linear.ValueHeads, Linear.ValueHeads);

            public Activation Logits { get; } = Hidden.Columns(0, 4);

            public Activation Values { get; } = Big.Columns(0, Linear.ValueHeads * Linear.ValueDim);

            public Activation Keys { get; } = Big.Columns(Linear.ValueHeads * Linear.ValueDim, Full.KvHeads * Full.HeadDim);

            public Activation Attended { get; } = Bigger.Columns(0, Full.QueryHeads * Full.HeadDim);

            public Activation GateUp { get; } = Bigger.Columns(0, 96);

            public Activation Inner { get; } = Bigger.Columns(100, 48);
        }
    }
}
