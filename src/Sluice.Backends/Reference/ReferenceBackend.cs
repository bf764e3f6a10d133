using Sluice.Core;

namespace Sluice.Backends.Reference;

/// <summary>
/// Every operation in a dozen scalar lines over managed arrays: what the others are tested against. It decodes weights from their
/// stored bytes element by element and does nothing clever.
/// </summary>
/// <param name="kvDtype">What keys and values are rounded to when they are stored; they take float32 whatever it is.</param>
public sealed class ReferenceBackend(KvDtype kvDtype = KvDtype.Auto) : IBackend
{
    /// <inheritdoc/>
    public string Name => "reference (scalar)";

    /// <inheritdoc/>
    public bool TakesTiledValueHeads => true;

    /// <inheritdoc/>
    public long AvailableBytes => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <inheritdoc/>
    public Activation Allocate(int rows, int width, bool isPrecise = false) => new ReferenceActivation(rows, width);

    /// <inheritdoc/>
    public Routing AllocateRouting(int rows, int topK) => new ReferenceRouting(rows, topK);

    /// <inheritdoc/>
    public Matrix LoadMatrix(MatrixUse use, params IReadOnlyList<MatrixSource> parts) => ReferenceMatrix.Load(parts);

    /// <inheritdoc/>
    public ExpertWeights LoadExperts(IReadOnlyList<ExpertSource> experts)
    {
        (ReferenceMatrix GateUp, ReferenceMatrix Down)[] loaded = new (ReferenceMatrix, ReferenceMatrix)[experts.Count];
        for (int e = 0; e < loaded.Length; e++)
            loaded[e] = (ReferenceMatrix.Load([experts[e].Gate, experts[e].Up]), ReferenceMatrix.Load([experts[e].Down]));
        return new ReferenceExperts(loaded);
    }

    /// <inheritdoc/>
    public Vector LoadVector(ReadOnlySpan<float> values) => new ReferenceVector(values.ToArray());

    /// <inheritdoc/>
    public MemoryGeometry GeometryOf(CacheShape shape) => ReferenceArena.GeometryOf(shape);

    /// <inheritdoc/>
    public CacheArena CreateArena(CacheShape shape, int superblocks) => ReferenceArena.Create(shape, superblocks);

    /// <inheritdoc/>
    public void Read(Activation source, int row, Span<float> destination) => On(source)[row].CopyTo(destination);

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<float> source, Activation destination, int row) => source.CopyTo(On(destination)[row]);

    /// <inheritdoc/>
    public void BeginStep(StepBatch batch)
    {
        // Operations read the batch itself.
    }

    /// <inheritdoc/>
    public void Embed(StepBatch batch, Matrix table, Activation hidden) => Gather.Embed(batch, On(table), On(hidden));

    /// <inheritdoc/>
    public void RmsNorm(Activation x, Vector weight, float epsilon, Activation y, int rows) =>
        Reference.RmsNorm.Run(On(x), On(weight), epsilon, On(y), rows);

    /// <inheritdoc/>
    public void AddRmsNorm(Activation residual, Activation delta, Vector weight, float epsilon, Activation y, int rows)
    {
        Elementwise.Add(On(delta), On(residual), rows);
        Reference.RmsNorm.Run(On(residual), On(weight), epsilon, On(y), rows);
    }

    /// <inheritdoc/>
    public void Add(Activation residual, Activation delta, int rows) => Elementwise.Add(On(delta), On(residual), rows);

    /// <inheritdoc/>
    public void Linear(Activation x, Matrix weight, Vector? bias, Activation y, int rows) =>
        Reference.Linear.Run(On(x), On(weight), bias is null ? null : On(bias), On(y), rows);

    /// <inheritdoc/>
    public void SwiGlu(Activation gateUp, Activation y, int rows) => Elementwise.SwiGlu(On(gateUp), On(y), rows);

    /// <inheritdoc/>
    public void GatherLogitRows(StepBatch batch, Activation x, Activation y) => Gather.LogitRows(batch, On(x), On(y));

    /// <inheritdoc/>
    public void CausalConv(StepBatch batch, Activation qkv, Vector weight, StateCache states, int layer, Activation mixed) =>
        Reference.CausalConv.Run(batch, On(qkv), On(weight), On(states), layer, On(mixed));

    /// <inheritdoc/>
    public void GatedDeltaRule(
        StepBatch batch, Activation mixed, Activation b, Activation a, Vector aLog, Vector dtBias, StateCache states, int layer, Activation o) =>
        Reference.GatedDeltaRule.Run(batch, On(mixed), On(b), On(a), On(aLog), On(dtBias), On(states), layer, On(o));

    /// <inheritdoc/>
    public void GatedRmsNorm(Activation o, Activation z, Vector weight, float epsilon, Activation y, int rows) =>
        Reference.GatedRmsNorm.Run(On(o), On(z), On(weight), epsilon, On(y), rows);

    /// <inheritdoc/>
    public void QkNormRopeAndStore(
        StepBatch batch, AttentionConfig shape, Activation q, Activation k, Activation v, Vector qNorm, Vector kNorm, float epsilon,
        KvCache kv, int layer) =>
        QkNormRopeStore.Run(batch, shape, On(q), On(k), On(v), On(qNorm), On(kNorm), epsilon, On(kv), layer, kvDtype);

    /// <inheritdoc/>
    public void Attention(StepBatch batch, AttentionConfig shape, Activation q, Activation? gate, KvCache kv, int layer, Activation y) =>
        PagedAttention.Run(batch, shape, On(q), gate is null ? null : On(gate), On(kv), layer, On(y));

    /// <inheritdoc/>
    public void Route(Activation logits, bool normalise, Routing routing, int rows) =>
        Router.Run(On(logits), normalise, (ReferenceRouting)routing, rows);

    /// <inheritdoc/>
    public void Experts(Activation x, Routing routing, ExpertWeights experts, Activation y, int rows) =>
        MixtureOfExperts.Run(On(x), (ReferenceRouting)routing, (ReferenceExperts)experts, On(y), rows);

    /// <inheritdoc/>
    public void AddGated(Activation x, Activation gate, Activation y, int rows) => Elementwise.AddGated(On(x), On(gate), On(y), rows);

    /// <inheritdoc/>
    public void Dispose()
    {
        // Managed arrays only.
    }

    private static ReferenceActivation On(Activation activation) => (ReferenceActivation)activation;

    private static ReferenceMatrix On(Matrix matrix) => (ReferenceMatrix)matrix;

    private static ReferenceVector On(Vector vector) => (ReferenceVector)vector;

    private static ReferenceKvCache On(KvCache kv) => (ReferenceKvCache)kv;

    private static ReferenceStateCache On(StateCache states) => (ReferenceStateCache)states;
}
