using System.Diagnostics;
using System.Globalization;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Memory;
using Sluice.Cpu.Operations;
using Sluice.Cpu.Threading;
using Sluice.Cpu.Weights;
using Sluice.Memory;

namespace Sluice.Cpu;

/// <summary>
/// The processor's SIMD units: activations in float32, rounded for products (<see cref="ActivationPrecision"/>), weights packed once at load. A row's result is bitwise the same whatever
/// else is in its batch, however its prompt is cut into chunks, and on however many threads; it is also the same with AVX2, AVX-512 and
/// NEON, but not with AMX.
/// </summary>
public sealed class CpuBackend : IBackend
{
    private readonly WorkerPool _pool;
    private readonly NumaInterleaving? _interleaving;
    private readonly Arena _arena;
    private readonly WeightMemory _weights;
    private readonly StepRows _rows = new();
    private readonly ActivationPrecision _precision;
    private readonly KvDtype _kv;
    private readonly Embed _embed;
    private readonly AddNorm _addNorm;
    private readonly Linear _linear;
    private readonly SwiGlu _swiGlu;
    private readonly Convolution _convolution;
    private readonly GatedDelta _gatedDelta;
    private readonly GatedNorm _gatedNorm;
    private readonly QkNormRopeStore _qkNormRopeStore;
    private readonly Attention _attention;
    private readonly Route _route;
    private readonly Experts _experts;
    private readonly AddGated _addGated;

    /// <summary>Starts the threads.</summary>
    /// <exception cref="BackendException">The processor, or the process's configuration, offers no vectors.</exception>
    /// <exception cref="ConfigurationException">An option is out of range.</exception>
    public CpuBackend(CpuOptions options)
        : this(options, KernelSet.Required((options ?? throw new ArgumentNullException(nameof(options))).Activations))
    {
    }

    /// <summary>As above, with chosen kernels: tests compare them within one process.</summary>
    internal CpuBackend(CpuOptions options, KernelSet kernels)
    {
        ArgumentNullException.ThrowIfNull(options);
        int threads = options.ResolveThreads();
        _pool = new WorkerPool(threads, options.ResolveProcessors(threads));
        _interleaving = options.ResolveInterleaving(out string memory);
        _arena = new Arena("weights and activations", interleaving: _interleaving);
        string refusal = kernels.Precision == ActivationPrecision.Fast && AssembledKernels.Refusal is { } why ? $"without BF16 and VNNI: {why}, " : "";
        Name = string.Create(CultureInfo.InvariantCulture, $"cpu ({kernels.Name}, {refusal}{threads} thread{(threads == 1 ? "" : "s")}{memory})");
        _precision = kernels.Precision;
        PackedWeights = options.PackedWeights is { } file ? new PackedWeights(file, _precision) : null;
        _weights = new WeightMemory(_arena, PackedWeights);
        _kv = (options with { Activations = _precision }).ResolvedKvDtype;
        _embed = new Embed(_pool);
        _addNorm = new AddNorm(_pool, kernels);
        _linear = new Linear(_pool, kernels);
        _swiGlu = new SwiGlu(_pool, kernels);
        _convolution = new Convolution(_pool, kernels);
        _gatedDelta = new GatedDelta(_pool, kernels);
        _gatedNorm = new GatedNorm(_pool, kernels);
        _qkNormRopeStore = new QkNormRopeStore(_pool, kernels, _rows);
        _attention = new Attention(_pool, kernels);
        _route = new Route(_pool, kernels);
        _experts = new Experts(_pool, kernels);
        _addGated = new AddGated(_pool, kernels);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public bool TakesTiledValueHeads => true;

    /// <inheritdoc/>
    public long AvailableBytes => Math.Min(SystemMemory.AvailableBytes(), SystemMemory.TotalBytes);

    /// <inheritdoc/>
    public long BytesOfMatrix(DType type, int rows, int columns, int scaleBlock) => PanelMatrix.BytesOf(type, rows, columns, scaleBlock, _precision);

    /// <summary>
    /// What operations keep for themselves once a model has run a step of so many tokens, bytes, to within a few MiB: rows made ready for products, and of
    /// experts each chosen one's rows.
    /// </summary>
    public static long ScratchBytes(ModelConfig config, int stepTokens)
    {
        ArgumentNullException.ThrowIfNull(config);
        int wide = Math.Max(config.HiddenSize, Math.Max(config.IntermediateSize, config.Attention.QueryHeads * config.Attention.HeadDim));
        long bytes = (long)stepTokens * Math.Max(wide, config.LinearAttention is { } linear ? linear.ValueHeads * linear.ValueDim : 0) * sizeof(ushort);
        if (config.Moe is { } moe)
        {
            long rows = (long)stepTokens * moe.TopK;
            bytes += (rows * (((config.HiddenSize + moe.IntermediateSize) * sizeof(ushort)) + (moe.IntermediateSize * sizeof(float)))) + Operations.Experts.ResultBytes(rows, config.HiddenSize);
        }

        return bytes;
    }

    /// <summary>Bytes of a cache of <paramref name="cacheBytes"/> that are resident beyond what is used, at most: they are kept ready for what comes.</summary>
    public static long ReadyBytes(MemoryGeometry geometry, long cacheBytes)
    {
        ArgumentNullException.ThrowIfNull(geometry);
        ArgumentOutOfRangeException.ThrowIfNegative(cacheBytes);
        return CpuCacheArena.ReadyBytes(geometry, cacheBytes);
    }

    /// <summary>Threads that compute, the caller's among them.</summary>
    public int Threads => _pool.Threads;

    /// <summary>What keeps weights packed in a file; null unless <see cref="CpuOptions.PackedWeights"/> asks for it.</summary>
    public PackedWeights? PackedWeights { get; }

    /// <summary>Whether they are bound to cores.</summary>
    public bool IsPinned => _pool.IsBound;

    /// <inheritdoc/>
    public Activation Allocate(int rows, int width, bool isPrecise = false) => CpuActivation.Allocate(_arena, rows, width);

    /// <inheritdoc/>
    public Routing AllocateRouting(int rows, int topK) => new CpuRouting(_arena, rows, topK);

    /// <inheritdoc/>
    public Matrix LoadMatrix(MatrixUse use, params IReadOnlyList<MatrixSource> parts) => CpuMatrix.Load(use, parts, _weights, _precision);

    /// <inheritdoc/>
    public ExpertWeights LoadExperts(IReadOnlyList<ExpertSource> experts) => CpuExperts.Load(experts, _weights, _precision);

    /// <inheritdoc/>
    public Vector LoadVector(ReadOnlySpan<float> values) => new CpuVector(_arena, values);

    /// <inheritdoc/>
    public MemoryGeometry GeometryOf(CacheShape shape) => CpuCacheArena.GeometryOf(shape, _kv);

    /// <inheritdoc/>
    public CacheArena CreateArena(CacheShape shape, int superblocks) => CpuCacheArena.Create(shape, _kv, superblocks, _interleaving);

    /// <inheritdoc/>
    public unsafe void Read(Activation source, int row, Span<float> destination) =>
        new Span<float>(On(source).Row(row), source.Width).CopyTo(destination);

    /// <inheritdoc/>
    public unsafe void Write(ReadOnlySpan<float> source, Activation destination, int row) =>
        source.CopyTo(new Span<float>(On(destination).Row(row), destination.Width));

    /// <inheritdoc/>
    public void BeginStep(StepBatch batch)
    {
        _pool.BindCaller();
        _rows.Begin(batch);
    }

    /// <inheritdoc/>
    public void Embed(StepBatch batch, Matrix table, Activation hidden) => _embed.Run(batch, On(table), On(hidden));

    /// <inheritdoc/>
    public void RmsNorm(Activation x, Vector weight, float epsilon, Activation y, int rows) =>
        _addNorm.Run(On(x), null, On(weight), epsilon, On(y), rows);

    /// <inheritdoc/>
    public void AddRmsNorm(Activation residual, Activation delta, Vector weight, float epsilon, Activation y, int rows) =>
        _addNorm.Run(On(residual), On(delta), On(weight), epsilon, On(y), rows);

    /// <inheritdoc/>
    public void Add(Activation residual, Activation delta, int rows) => _addNorm.Run(On(residual), On(delta), null, 0, null, rows);

    /// <inheritdoc/>
    public void Linear(Activation x, Matrix weight, Vector? bias, Activation y, int rows) =>
        _linear.Run(On(x), On(weight), bias is null ? null : On(bias), On(y), rows);

    /// <inheritdoc/>
    public void SwiGlu(Activation gateUp, Activation y, int rows) => _swiGlu.Run(On(gateUp), On(y), rows);

    /// <inheritdoc/>
    public unsafe void GatherLogitRows(StepBatch batch, Activation x, Activation y)
    {
        Debug.Assert(x.Width == y.Width, "equal widths");
        for (int i = 0; i < batch.LogitRows.Length; i++)
            new Span<float>(On(x).Row(batch.LogitRows[i]), x.Width).CopyTo(new Span<float>(On(y).Row(i), y.Width));
    }

    /// <inheritdoc/>
    public void CausalConv(StepBatch batch, Activation qkv, Vector weight, StateCache states, int layer, Activation mixed) =>
        _convolution.Run(batch, On(qkv), On(weight), On(states), layer, On(mixed));

    /// <inheritdoc/>
    public void GatedDeltaRule(
        StepBatch batch, Activation mixed, Activation b, Activation a, Vector aLog, Vector dtBias, StateCache states, int layer, Activation o) =>
        _gatedDelta.Run(batch, On(mixed), On(b), On(a), On(aLog), On(dtBias), On(states), layer, On(o));

    /// <inheritdoc/>
    public void GatedRmsNorm(Activation o, Activation z, Vector weight, float epsilon, Activation y, int rows) =>
        _gatedNorm.Run(On(o), On(z), On(weight), epsilon, On(y), rows);

    /// <inheritdoc/>
    public void QkNormRopeAndStore(
        StepBatch batch, AttentionConfig shape, Activation q, Activation k, Activation v, Vector qNorm, Vector kNorm, float epsilon,
        KvCache kv, int layer) =>
        _qkNormRopeStore.Run(batch, shape, On(q), On(k), On(v), On(qNorm), On(kNorm), epsilon, On(kv), layer);

    /// <inheritdoc/>
    public void Attention(StepBatch batch, AttentionConfig shape, Activation q, Activation? gate, KvCache kv, int layer, Activation y) =>
        _attention.Run(batch, shape, On(q), gate is null ? null : On(gate), On(kv), layer, On(y));

    /// <inheritdoc/>
    public void Route(Activation logits, bool normalise, Routing routing, int rows) =>
        _route.Run(On(logits), normalise, On(routing), rows);

    /// <inheritdoc/>
    public void Experts(Activation x, Routing routing, ExpertWeights experts, Activation y, int rows) =>
        _experts.Run(On(x), On(routing), On(experts), On(y), rows);

    /// <inheritdoc/>
    public void AddGated(Activation x, Activation gate, Activation y, int rows) => _addGated.Run(On(x), On(gate), On(y), rows);

    /// <summary>Stops the threads and gives back weights and activations; caches are their owners' to dispose.</summary>
    public void Dispose()
    {
        _pool.Dispose();
        _linear.Dispose();
        _gatedDelta.Dispose();
        _attention.Dispose();
        _experts.Dispose();
        _rows.Dispose();
        _arena.Dispose();
        PackedWeights?.Dispose();
    }

    private static CpuActivation On(Activation activation) => (CpuActivation)activation;

    private static CpuMatrix On(Matrix matrix) => (CpuMatrix)matrix;

    private static CpuExperts On(ExpertWeights experts) => (CpuExperts)experts;

    private static CpuVector On(Vector vector) => (CpuVector)vector;

    private static CpuRouting On(Routing routing) => (CpuRouting)routing;

    private static CpuKvCache On(KvCache kv) => (CpuKvCache)kv;

    private static CpuStateCache On(StateCache states) => (CpuStateCache)states;
}
