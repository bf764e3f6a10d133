using System.Diagnostics;
using System.Globalization;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cuda.Blas;
using Sluice.Cuda.Compilation;
using Sluice.Cuda.Driver;
using Sluice.Cuda.Memory;
using Sluice.Cuda.Operations;
using Sluice.Cuda.Profiling;

namespace Sluice.Cuda;

/// <summary>
/// One NVIDIA Hopper card: activations and weights in bfloat16, sums, norms and recurrent states in float32. Work is queued and done in
/// order; <see cref="Read"/> waits for it. A step in which every sequence has one token is recorded as a graph, for a ladder of batch sizes, and
/// started by one call from then on.
/// </summary>
public sealed unsafe partial class CudaBackend : IBackend
{
    private readonly CudaDevice _device;
    private readonly CudaStream _stream;
    private readonly KernelLibrary _kernels;
    private readonly MatrixProducts _products;
    private readonly DeviceHeap _heap = new();
    private readonly WeightUpload _upload;
    private readonly PinnedMemory _row = new(4 << 20);
    private readonly RowOperations _rows;
    private readonly Linear _linear;
    private readonly DeltaNet _deltaNet;
    private readonly Attention _attention;
    private readonly MixtureOfExperts _experts;
    private readonly Shortlists _shortlists;
    private readonly StepGraphs _graphs;
    private readonly Action _fetch;
    private CudaCacheArena? _arena;
    private DeviceStep _step;
    private int _tileTokens = 32;
    private StepProfile? _profile;
    private StepClock? _clock;

    private CudaBackend(CudaDevice device)
    {
        _device = device;
        _stream = new CudaStream();
        _kernels = new KernelLibrary(device.Architecture);
        _products = new MatrixProducts();
        _upload = new WeightUpload(device);
        Launcher launcher = new(device, _stream, _kernels);
        _rows = new RowOperations(launcher);
        _linear = new Linear(launcher, _products);
        _deltaNet = new DeltaNet(launcher);
        _attention = new Attention(launcher);
        _experts = new MixtureOfExperts(launcher);
        _shortlists = new Shortlists(launcher);
        _step = new DeviceStep(512, 64, 4096, 64, 4096);
        _graphs = new StepGraphs(_stream);
        _fetch = () => _rows.Fetch(_step);
        Name = string.Create(CultureInfo.InvariantCulture, $"cuda:{device.Ordinal} ({device.Name}, {device.Memory.Total >> 30} GiB)");
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public bool IsQueued => true;

    /// <inheritdoc/>
    public long AvailableBytes => _device.Memory.Free;

    /// <inheritdoc/>
    public long BytesOfWeights(DType type, long elements) => 2 * elements;

    /// <summary>Kernels that had to be compiled, because the cache on disk had none for these shapes.</summary>
    public int CompiledKernels => _kernels.Compiled;

    internal CudaStream Stream => _stream;

    /// <summary>Opens a card.</summary>
    /// <exception cref="BackendException">No driver, no such card, another generation, or a library is missing; the message says what to do.</exception>
    public static CudaBackend Open(int ordinal = 0)
    {
        CudaDevice device = CudaDevice.Open(ordinal);
        try
        {
            return new CudaBackend(device);
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public Activation Allocate(int rows, int width, bool isPrecise = false)
    {
        long bytes = checked((long)rows * CudaActivation.StrideOf(width) * (isPrecise ? sizeof(float) : 2));
        ulong address = _heap.Allocate(bytes, "activations");
        CudaStatus.Check(DriverApi.Fill(address, 0, (nuint)((bytes + 3) / 4), _stream.Handle), "clearing activations");
        return CudaActivation.At(address, rows, width, isPrecise);
    }

    /// <inheritdoc/>
    public Routing AllocateRouting(int rows, int topK)
    {
        MixtureOfExperts.CheckTopK(topK);
        long each = checked((long)rows * topK * sizeof(int));
        return new CudaRouting(
            _heap.Allocate(each, "routing"), _heap.Allocate(each, "routing"),
            _heap.Allocate(MixtureOfExperts.PlanBytes(rows, topK), "routing"), rows, topK);
    }

    /// <inheritdoc/>
    public Matrix LoadMatrix(MatrixUse use, params IReadOnlyList<MatrixSource> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        _device.MakeCurrent();
        int columns = parts[0].Columns;
        if (columns % 8 != 0)
            throw new BackendException($"cuda, {parts[0].Name}: expected a multiple of 8 columns, found {columns}; use --device cpu");
        int rows = parts.Sum(part => part.Rows);
        int padded = CudaMatrix.RowsInMemory(rows);
        CudaMatrix matrix = new(_heap.Allocate(checked((long)padded * columns * 2), "weights"), rows, columns);
        ulong next = matrix.Address;
        if (padded > rows)
        {
            ulong end = matrix.Address + ((ulong)rows * (ulong)columns * 2);
            CudaStatus.Check(DriverApi.Fill(end, 0, (nuint)((padded - rows) * (long)columns * 2 / 4), _stream.Handle), "clearing rows of padding");
        }

        foreach (MatrixSource part in parts)
        {
            _upload.Copy(part, next);
            next += (ulong)part.Rows * (ulong)columns * 2;
        }

        return matrix;
    }

    /// <inheritdoc/>
    public ExpertWeights LoadExperts(IReadOnlyList<ExpertSource> experts)
    {
        ArgumentNullException.ThrowIfNull(experts);
        MixtureOfExperts.CheckCount(experts.Count);
        _device.MakeCurrent();
        return ExpertPacking.Load(experts, _heap, _upload);
    }

    /// <inheritdoc/>
    public Vector LoadVector(ReadOnlySpan<float> values)
    {
        _device.MakeCurrent();
        CudaVector vector = new(_heap.Allocate(values.Length * sizeof(float), "weights"), values.Length);
        _upload.Copy(System.Runtime.InteropServices.MemoryMarshal.AsBytes(values), vector.Address);
        return vector;
    }

    /// <inheritdoc/>
    public MemoryGeometry GeometryOf(CacheShape shape) => CudaCacheArena.GeometryOf(shape);

    /// <inheritdoc/>
    public CacheArena CreateArena(CacheShape shape, int superblocks)
    {
        Operations.Attention.Check(shape);
        DeltaNet.Check(shape.Linear);
        _arena = CudaCacheArena.Create(shape, superblocks, _stream);
        return _arena;
    }

    /// <inheritdoc/>
    public void Read(Activation source, int row, Span<float> destination)
    {
        CudaActivation from = On(source);
        int bytes = from.Width * from.ElementBytes;
        CudaStatus.Check(DriverApi.CopyToHost(_row.Address, from.Row(row), (nuint)bytes, _stream.Handle), "reading a row");
        _stream.Synchronise("a step");
        if (from.IsFloat)
        {
            new ReadOnlySpan<float>(_row.Address, from.Width).CopyTo(destination);
            return;
        }

        ushort* values = (ushort*)_row.Address;
        for (int i = 0; i < from.Width; i++)
            destination[i] = StoredNumbers.FromBF16(values[i]);
    }

    /// <inheritdoc/>
    public bool TryReadShortlists(LogitShortlists lists)
    {
        ArgumentNullException.ThrowIfNull(lists);
        return _shortlists.TryRead(lists);
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<float> source, Activation destination, int row)
    {
        CudaActivation to = On(destination);
        _stream.Synchronise("a step");
        if (to.IsFloat)
        {
            source.CopyTo(new Span<float>(_row.Address, to.Width));
        }
        else
        {
            for (int i = 0; i < to.Width; i++)
                ((ushort*)_row.Address)[i] = StoredNumbers.ToBF16(source[i]);
        }

        CudaStatus.Check(DriverApi.CopyToDevice(to.Row(row), _row.Address, (nuint)(to.Width * to.ElementBytes), _stream.Handle), "writing a row");
        _stream.Synchronise("writing a row");
    }

    /// <inheritdoc/>
    public void BeginStep(StepBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        BeginStep(batch, isFetched: false);
    }

    /// <inheritdoc/>
    public void RunStep(StepBatch batch, int mostRows, Action<StepBatch> operations)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(operations);
        StepBatch? padded = Kernel.IsChecked || _profile is not null ? null : _graphs.Pad(batch, mostRows);
        BeginStep(padded ?? batch, isFetched: padded is not null);
        _clock?.Begin(_stream);
        if (_profile is not null)
        {
            _profile.Run(batch, operations);
        }
        else if (padded is null)
        {
            operations(batch);
        }
        else
        {
            _graphs.Run(padded, _fetch, operations);
            _step.Fetching(_stream);
        }

        _clock?.End(_stream);
    }

    /// <summary>From now on <see cref="Computed"/> counts.</summary>
    public void TimeSteps() => _clock ??= new StepClock();

    /// <summary>Steps since <see cref="TimeSteps"/>, and how long the card computed them; the last may be missing.</summary>
    public (long Steps, TimeSpan Time) Computed => _clock?.Total ?? (0, TimeSpan.Zero);

    /// <summary>What this card can do.</summary>
    public CardLimits MeasureLimits() => CardLimits.Measure(_stream, _products);

    /// <summary>
    /// Times the one step that <paramref name="forward"/> runs, and each kind of operation in it. Experts are drawn at random, uniformly, rather than
    /// chosen by the router, so that dummy weights are as hard as real ones; so the step's results are not to be used.
    /// </summary>
    /// <param name="forward">Runs a model's forward pass, once.</param>
    /// <param name="repeats">Repetitions of which the median counts.</param>
    public IReadOnlyList<OperationTime> Profile(Action forward, int repeats)
    {
        ArgumentNullException.ThrowIfNull(forward);
        using StepProfile profile = new(_stream, repeats);
        _profile = profile;
        try
        {
            forward();
            return profile.Times;
        }
        finally
        {
            _profile = null;
        }
    }

    /// <inheritdoc/>
    public void Embed(StepBatch batch, Matrix table, Activation hidden)
    {
        if (_profile?.Wants("embed", OperationWork.Rows(batch.TokenCount, hidden.Width + InHalves(hidden))) != false)
            _rows.Embed(_step.Pointers, On(table), On(hidden), batch.TokenCount);
    }

    /// <inheritdoc/>
    public void RmsNorm(Activation x, Vector weight, float epsilon, Activation y, int rows)
    {
        if (_profile?.Wants("norm", OperationWork.Rows(rows, x.Width + InHalves(x))) != false)
            _rows.Norm(On(x), null, On(weight), epsilon, On(y), rows);
    }

    /// <inheritdoc/>
    public void AddRmsNorm(Activation residual, Activation delta, Vector weight, float epsilon, Activation y, int rows)
    {
        if (_experts.Take(delta) is { } sum)
            AddExperts(sum, residual, weight, epsilon, y);
        else if (_profile?.Wants("add + norm", OperationWork.Rows(rows, (2 * y.Width) + (2 * InHalves(residual)))) != false)
            _rows.Norm(On(residual), On(delta), On(weight), epsilon, On(y), rows);
    }

    /// <inheritdoc/>
    public void Add(Activation residual, Activation delta, int rows)
    {
        if (_experts.Take(delta) is { } sum)
            AddExperts(sum, residual, null, 0, null);
        else if (_profile?.Wants("add", OperationWork.Rows(rows, residual.Width + (2 * InHalves(residual)))) != false)
            _rows.Norm(On(residual), On(delta), null, 0, null, rows);
    }

    /// <inheritdoc/>
    public void Linear(Activation x, Matrix weight, Vector? bias, Activation y, int rows)
    {
        if (_profile?.Wants($"linear {weight.Rows} x {weight.Columns}", OperationWork.Linear(rows, On(weight))) == false)
            return;
        _linear.Run(On(x), On(weight), On(y), rows);
        if (bias is not null)
            _rows.AddBias(On(y), On(bias), rows);
    }

    /// <inheritdoc/>
    public void SwiGlu(Activation gateUp, Activation y, int rows)
    {
        if (_profile?.Wants("swiglu", OperationWork.Rows(rows, 3 * y.Width)) != false)
            _rows.SwiGlu(On(gateUp), On(y), rows);
    }

    /// <inheritdoc/>
    public void GatherLogitRows(StepBatch batch, Activation x, Activation y)
    {
        if (batch.LogitRows.Length > 0 && _profile?.Wants("gather", OperationWork.Rows(batch.LogitRows.Length, 2 * InHalves(x))) != false)
            _rows.Gather(_step.Pointers, On(x), On(y), batch.LogitRows.Length);
    }

    /// <inheritdoc/>
    public void Shortlist(StepBatch batch, Activation logits)
    {
        ArgumentNullException.ThrowIfNull(batch);
        _shortlists.Find(_step, On(logits), batch.LogitRows.Length);
    }

    /// <inheritdoc/>
    public void CausalConv(StepBatch batch, Activation qkv, Vector weight, StateCache states, int layer, Activation mixed)
    {
        if (_profile?.Wants("convolution", OperationWork.Convolution(batch, states.Shape)) != false)
            _deltaNet.Convolve(_step.Pointers, _step, On(qkv), On(weight), On(states), layer, On(mixed), batch.TokenCount);
    }

    /// <inheritdoc/>
    public void GatedDeltaRule(
        StepBatch batch, Activation mixed, Activation b, Activation a, Vector aLog, Vector dtBias, StateCache states, int layer, Activation o)
    {
        if (_profile?.Wants("gated delta rule", OperationWork.DeltaRule(batch, states.Shape)) != false)
            _deltaNet.Run(_step.Pointers, _step, On(mixed), On(b), On(a), On(aLog), On(dtBias), On(states), layer, On(o));
    }

    /// <inheritdoc/>
    public void GatedDeltaNet(StepBatch batch, DeltaNetActivations x, DeltaNetVectors w, StateCache states, int layer)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(w);
        if (_step.Prefills.Count > 0 || !DeltaNet.CanFuse(states.Shape, batch.Sequences.Length))
        {
            IBackend.InTurn(this, batch, x, w, states, layer);
            return;
        }

        if (_profile?.Wants("gated deltanet", OperationWork.DeltaNet(batch, states.Shape)) != false)
            _deltaNet.Fused(_step.Pointers, _step.Decodes, x, w, On(states), layer);
        if (_profile?.WantsPiece("(its delta rule alone)", OperationWork.DeltaRule(batch, states.Shape)) == true)
            _deltaNet.Run(_step.Pointers, _step, On(x.Qkv), On(x.B), On(x.A), On(w.ALog), On(w.DtBias), On(states), layer, On(x.Gated));
    }

    /// <inheritdoc/>
    public void GatedRmsNorm(Activation o, Activation z, Vector weight, float epsilon, Activation y, int rows)
    {
        if (_profile?.Wants("gated norm", OperationWork.Rows(rows, 3 * y.Width)) != false)
            _rows.GatedNorm(On(o), On(z), On(weight), epsilon, On(y), rows);
    }

    /// <inheritdoc/>
    public void QkNormRopeAndStore(
        StepBatch batch, AttentionConfig shape, Activation q, Activation k, Activation v, Vector qNorm, Vector kNorm, float epsilon,
        KvCache kv, int layer)
    {
        if (_profile?.Wants("q, k norm + rotary + store", OperationWork.Rows(batch.TokenCount, 2 * (q.Width + k.Width + v.Width))) != false)
            _attention.NormRopeStore(_step.Pointers, shape, On(q), On(k), On(v), On(qNorm), On(kNorm), epsilon, On(kv), layer, batch.TokenCount);
    }

    /// <inheritdoc/>
    public void Attention(StepBatch batch, AttentionConfig shape, Activation q, Activation? gate, KvCache kv, int layer, Activation y)
    {
        // Which tiles suit depends on the heads, which only this call tells: the first time, the step is cut anew.
        int tileTokens = Operations.Attention.TileTokens(shape);
        if (tileTokens != _tileTokens)
        {
            _tileTokens = tileTokens;
            if (!_stream.IsCapturing)
                BeginStep(batch);
        }

        if (_profile?.Wants("attention", OperationWork.Attention(batch, shape)) != false)
            _attention.Run(_step.Pointers, _step, shape, On(q), gate is null ? null : On(gate), On(kv), layer, On(y));
    }

    /// <summary>Waits for the card and gives back all but the caches, which are their owners' to dispose.</summary>
    public void Dispose()
    {
        _device.MakeCurrent();
        _ = DriverApi.StreamSynchronize(_stream.Handle);
        _graphs.Dispose();
        _clock?.Dispose();
        _step.Dispose();
        _shortlists.Dispose();
        _experts.Dispose();
        _attention.Dispose();
        _deltaNet.Dispose();
        _products.Dispose();
        _kernels.Dispose();
        _row.Dispose();
        _upload.Dispose();
        _heap.Dispose();
        _stream.Dispose();
        _device.Dispose();
    }

    // Width, counting two bytes each.
    private static int InHalves(Activation activation) => activation.Width * ((CudaActivation)activation).ElementBytes / 2;

    private CudaActivation On(Activation activation)
    {
        // Nothing is read, nor written over, while a sum of it is owed.
        _experts.Settle();
        return (CudaActivation)activation;
    }

    private static CudaMatrix On(Matrix matrix) => (CudaMatrix)matrix;

    private static CudaExperts On(ExpertWeights experts) => (CudaExperts)experts;

    private static CudaVector On(Vector vector) => (CudaVector)vector;

    private static CudaRouting On(Routing routing) => (CudaRouting)routing;

    private static CudaKvCache On(KvCache kv) => (CudaKvCache)kv;

    private static CudaStateCache On(StateCache states) => (CudaStateCache)states;

    private void BeginStep(StepBatch batch, bool isFetched)
    {
        _device.MakeCurrent();
        int pages = DeviceStep.PagesOf(batch);
        int updates = _arena?.States is null ? 0 : _arena.Moved.Count * (1 + _arena.Geometry.SuperblocksPerSlot);
        if (!_step.Holds(batch, pages, updates))
            Grow(batch, pages, updates);
        _step.Write(batch, _shortlists.Begin(), _arena?.States is null ? null : _arena, new WorkShape(_tileTokens, DeltaNet.ChunkTokens), isFetched);
        if (!isFetched || _step.Updates.Count > 0)
            _step.Copy(_stream);
        if (_step.Updates.Count > 0)
            _rows.MapSlots(_step.Updates, _arena!.StateMap);
    }

    // Graphs hold the old addresses, so they go too.
    private void Grow(StepBatch batch, int pages, int updates)
    {
        Debug.Assert(!_stream.IsCapturing, "a step begins before it is recorded");
        _stream.Synchronise("growing a step's memory");
        _graphs.Clear();
        DeviceStep larger = new(
            Math.Max(_step.Rows, Room(batch.TokenCount)), Math.Max(_step.Sequences, Room(batch.Sequences.Length)), Math.Max(_step.PageEntries, Room(pages)),
            Math.Max(_step.Exports, Room(batch.Exports.Length)), Math.Max(_step.UpdateInts, Room(updates)));
        _step.Dispose();
        _step = larger;

        static int Room(int needed) => (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)needed);
    }
}
