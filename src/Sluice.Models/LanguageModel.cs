using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Core;
using Sluice.Models.Layers;

namespace Sluice.Models;

/// <summary>
/// Any model of the family on any backend: embedding, layers of a token mixer and a channel mixer, final norm, output head.
/// A step allocates nothing.
/// </summary>
public sealed class LanguageModel : ILanguageModel
{
    private readonly IBackend _backend;
    private readonly ModelWeights _weights;
    private readonly DecoderLayer[] _layers;

    // [tokens, hidden]: the residual stream, to which every layer adds a little, so it is precise; what a mixer reads, what it adds.
    private readonly Activation _hidden;
    private readonly Activation _normed;
    private readonly Activation _delta;

    // [logit rows, hidden], [logit rows, hidden], [logit rows, vocabulary].
    private readonly Activation _wanted;
    private readonly Activation _wantedNormed;
    private readonly Activation _logits;
    private readonly Action<StepBatch> _run;
    private int _logitRows;

    private LanguageModel(ModelConfig config, IBackend backend, ModelWeights weights, ModelOptions options)
    {
        Config = config;
        _backend = backend;
        _weights = weights;
        MaxStepTokens = options.MaxStepTokens;
        MaxLogitRows = Math.Min(options.MaxLogitRows, options.MaxStepTokens);
        Caches = CreateCaches(backend, CacheShape.Of(config), options);
        _layers = weights.BuildLayers(new LayerResources(backend, config, MaxStepTokens, Caches.Kv, Caches.States));

        _hidden = backend.Allocate(MaxStepTokens, config.HiddenSize, isPrecise: true);
        _normed = backend.Allocate(MaxStepTokens, config.HiddenSize);
        _delta = backend.Allocate(MaxStepTokens, config.HiddenSize);
        _wanted = backend.Allocate(MaxLogitRows, config.HiddenSize, isPrecise: true);
        _wantedNormed = backend.Allocate(MaxLogitRows, config.HiddenSize);
        _logits = backend.Allocate(MaxLogitRows, config.VocabularySize, isPrecise: true);
        _run = Run;
    }

    /// <inheritdoc/>
    public ModelConfig Config { get; }

    /// <inheritdoc/>
    public int MaxStepTokens { get; }

    /// <inheritdoc/>
    public int MaxLogitRows { get; }

    /// <inheritdoc/>
    public CacheArena Caches { get; }

    /// <inheritdoc/>
    public bool IsQueued => _backend.IsQueued;

    /// <summary>What runs the model. It belongs to whoever made it.</summary>
    public IBackend Backend => _backend;

    /// <summary>Whether the checkpoint has a multi-token prediction head (<c>mtp.*</c>), which nothing runs yet.</summary>
    public bool HasMtpHead => _weights.HasMtpHead;

    /// <summary>Called with hidden states during <see cref="Forward"/>; null, as normally, costs nothing.</summary>
    public ModelObserver? Observer { get; set; }

    /// <summary>Bytes that a checkpoint's weights take on <paramref name="backend"/>, as it lays them out.</summary>
    public static long WeightBytes(Checkpoint checkpoint, IBackend backend)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(backend);
        return checkpoint.Tensors.Sum(tensor => BytesOf(tensor, checkpoint.Config, backend));
    }

    /// <summary>
    /// Loads a checkpoint's weights for <paramref name="backend"/> and allocates caches and activations. Afterwards the store may be closed.
    /// </summary>
    /// <param name="store">Tensors and configuration.</param>
    /// <param name="backend">What will run the model; it stays the caller's and must outlive it.</param>
    /// <param name="options">How much to allocate.</param>
    /// <param name="progress">Told of bytes loaded.</param>
    /// <param name="cancellation">Stops the load.</param>
    /// <exception cref="CheckpointException">Tensors are missing, surplus, misshapen or mistyped: all of them, in one error.</exception>
    /// <exception cref="ConfigurationException">An option is out of range.</exception>
    public static LanguageModel Load(
        TensorStore store, IBackend backend, ModelOptions options, IProgress<LoadProgress>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (backend.TakesTiledValueHeads)
            store = store.WithStoredHeads();
        WeightPlan plan = new(store);
        ModelWeights weights = ModelWeights.Declare(plan, store, backend);
        plan.Validate();
        plan.Load(options.LoadWorkers, progress, cancellation);
        return new LanguageModel(store.Config, backend, weights, options);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The batch asks for more than the model has: rows, tokens, pages or slots.</exception>
    public void Forward(StepBatch batch)
    {
        Check(batch);
        _logitRows = batch.LogitRows.Length;
        if (Observer is null)
        {
            _backend.RunStep(batch, Math.Min(MaxStepTokens, MaxLogitRows), _run);
            return;
        }

        // An observer wants to be called in every step.
        _backend.BeginStep(batch);
        Run(batch);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentOutOfRangeException">The last step wanted fewer logits.</exception>
    public void ReadLogits(int index, Span<float> logits)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, _logitRows);
        _backend.Read(_logits, index, logits);
    }

    /// <inheritdoc/>
    public bool TryReadShortlists(LogitShortlists lists) => _backend.TryReadShortlists(lists);

    /// <inheritdoc/>
    public void Dispose() => Caches.Dispose();

    private void Run(StepBatch batch)
    {
        int rows = batch.TokenCount;
        int logitRows = batch.LogitRows.Length;
        _backend.Embed(batch, _weights.Embedding, _hidden);
        Observer?.Invoke(ModelPoint.Embedding, -1, batch, _hidden);
        _backend.RmsNorm(_hidden, _layers[0].InputNorm, Config.NormEpsilon, _normed, rows);
        for (int i = 0; i < _layers.Length; i++)
        {
            DecoderLayer layer = _layers[i];
            layer.TokenMixer.Run(batch, _normed, _delta);
            _backend.AddRmsNorm(_hidden, _delta, layer.PostAttentionNorm, Config.NormEpsilon, _normed, rows);
            _backend.Anticipate(i + 1 < _layers.Length ? _layers[i + 1].TokenMixer.First : _weights.Head);
            layer.ChannelMixer.Run(_normed, _delta, rows);

            // Every norm but the first joins the addition before it; the last does where all rows want logits, as in decoding.
            if (i + 1 < _layers.Length)
                _backend.AddRmsNorm(_hidden, _delta, _layers[i + 1].InputNorm, Config.NormEpsilon, _normed, rows);
            else if (logitRows == rows)
                _backend.AddRmsNorm(_hidden, _delta, _weights.FinalNorm, Config.NormEpsilon, _wantedNormed, rows);
            else
                _backend.Add(_hidden, _delta, rows);
            Observer?.Invoke(ModelPoint.Layer, i, batch, _hidden);
        }

        if (logitRows == 0)
            return;
        if (logitRows < rows)
        {
            _backend.GatherLogitRows(batch, _hidden, _wanted);
            _backend.RmsNorm(_wanted, _weights.FinalNorm, Config.NormEpsilon, _wantedNormed, logitRows);
        }

        Observer?.Invoke(ModelPoint.FinalNorm, -1, batch, _wantedNormed);
        _backend.Linear(_wantedNormed, _weights.Head, null, _logits, logitRows);
        if (batch.Shortlists is not null)
            _backend.Shortlist(batch, _logits);
    }

    private static long BytesOf(TensorInfo tensor, ModelConfig config, IBackend backend)
    {
        // Scales count with their matrices; the prediction head is not loaded.
        if (tensor.Name.EndsWith("_scale_inv", StringComparison.Ordinal) || tensor.Name.StartsWith("mtp.", StringComparison.Ordinal))
            return 0;
        if (tensor.Type == DType.Other)
            return tensor.ByteLength;
        long elements = tensor.Shape.Aggregate(1L, (count, dimension) => count * dimension);
        if (tensor.Shape.Count < 2 || (tensor.Shape.Count == 3 && tensor.Shape[1] == 1))
            return backend.BytesOfWeights(DType.F32, elements);
        int scaleBlock = tensor.Type == DType.F8E4M3 ? config.Fp8Block?.Columns ?? 0 : 0;
        return elements / ((long)tensor.Shape[^2] * tensor.Shape[^1]) * backend.BytesOfMatrix(tensor.Type, tensor.Shape[^2], tensor.Shape[^1], scaleBlock);
    }

    private static CacheArena CreateCaches(IBackend backend, CacheShape shape, ModelOptions options)
    {
        if (options.CacheBytes == 0)
            return backend.CreateArena(shape, options.Pages, options.Slots);
        MemoryGeometry geometry = backend.GeometryOf(shape);
        long superblocks = Math.Min(options.CacheBytes / geometry.SuperblockBytes, Array.MaxLength / geometry.PagesPerSuperblock);
        return backend.CreateArena(shape, (int)superblocks);
    }

    /// <summary>Refuses what would read or write outside the model's memory, whatever the device.</summary>
    private void Check(StepBatch batch)
    {
        if (batch.TokenCount is 0 || batch.TokenCount > MaxStepTokens)
            throw new ArgumentException($"expected a step of 1 to {MaxStepTokens} tokens, found {batch.TokenCount}", nameof(batch));
        if (batch.LogitRows.Length > MaxLogitRows)
            throw new ArgumentException($"expected at most {MaxLogitRows} rows that want logits, found {batch.LogitRows.Length}", nameof(batch));
        if (batch.Shortlists is { } lists && lists.Count > batch.LogitRows.Length)
            throw new ArgumentException($"{lists.Count} shortlists are asked for, of {batch.LogitRows.Length} rows of logits", nameof(batch));
        foreach (int token in batch.Tokens)
        {
            if ((uint)token >= (uint)Config.VocabularySize)
                throw new ArgumentException($"expected token ids from 0 to {Config.VocabularySize - 1}, found {token}", nameof(batch));
        }

        foreach (StateExport export in batch.Exports)
            CheckSlot(export.Slot);
        foreach (SequenceSpan span in batch.Sequences)
        {
            CheckSlot(span.StateSlot);
            if (span.FirstPosition > Config.MaxPositions - span.Count)
                throw new ArgumentException($"expected positions below {Config.MaxPositions}, found {span.FirstPosition + span.Count - 1}", nameof(batch));
            int pages = (span.FirstPosition + span.Count + KvCache.PageTokens - 1) / KvCache.PageTokens;
            foreach (int page in span.PageTable.AsSpan(0, pages))
            {
                if ((uint)page >= (uint)Caches.Pages)
                    throw new ArgumentException($"expected pages from 0 to {Caches.Pages - 1}, found {page}", nameof(batch));
            }
        }

        void CheckSlot(int slot)
        {
            // Without states there are no slots, and what is said of them means nothing.
            if (Caches.States is not null && (uint)slot >= (uint)Caches.Slots)
                throw new ArgumentException($"expected slots from 0 to {Caches.Slots - 1}, found {slot}", nameof(batch));
        }
    }
}
