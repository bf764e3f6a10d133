using Sluice.Core;

namespace Sluice.Backends;

/// <summary>How a matrix will be used, which decides its layout on the device.</summary>
public enum MatrixUse
{
    /// <summary>Multiplied with activations.</summary>
    Linear,

    /// <summary>Read a row at a time by token id.</summary>
    Embedding,

    /// <summary>Both: tied embeddings.</summary>
    EmbeddingAndLinear,
}

/// <summary>
/// The operations a device offers to models: coarse, named in the field's terms, sized so that a device can fuse. Models call
/// operations; operations never call models. All reductions, norms, softmax, gates and recurrent states are float32.
/// <para>
/// Each row's result depends on that row's sequence alone: on the CPU bitwise, whatever else is in the batch and however
/// the prompt is cut into chunks.
/// </para>
/// <para>
/// Loading methods may be called from many threads at once. Operations are called by one thread, in order; a device may run
/// them later, but reads (<see cref="Read"/>) see their results. Shapes are the caller's duty and are asserted.
/// </para>
/// </summary>
public interface IBackend : IDisposable
{
    /// <summary>What runs, for people: for example <c>cpu (AVX-512, 2 threads)</c>.</summary>
    string Name { get; }

    /// <summary>Whether operations are queued for the device rather than done when they return, so that the host has time for other things.</summary>
    bool IsQueued => false;

    /// <summary>Memory of the device that is free now, bytes: for weights, activations and caches.</summary>
    long AvailableBytes { get; }

    /// <summary>Bytes that so many stored weights take on the device, to within padding.</summary>
    long BytesOfWeights(DType type, long elements)
    {
        (int each, int bytes) = type.Block();
        return elements / each * bytes;
    }

    /// <summary>Bytes that a matrix takes on the device, with what its layout adds; <paramref name="scaleBlock"/> columns share a scale, or 0.</summary>
    long BytesOfMatrix(DType type, int rows, int columns, int scaleBlock) => BytesOfWeights(type, (long)rows * columns);

    /// <summary>Whether <see cref="GatedDeltaRule"/> takes <see cref="LinearAttentionConfig.TiledValueHeads"/>.</summary>
    bool TakesTiledValueHeads => false;

    // ---- memory -------------------------------------------------------------------------------------------------------

    /// <summary>
    /// Allocates activations, [<paramref name="rows"/>, <paramref name="width"/>], zeroed; in float32 on any device if
    /// <paramref name="isPrecise"/>, for what is compared closely: the router's logits and the model's.
    /// </summary>
    Activation Allocate(int rows, int width, bool isPrecise = false);

    /// <summary>Allocates routing for <paramref name="rows"/> rows.</summary>
    Routing AllocateRouting(int rows, int topK);

    /// <summary>Packs a matrix from <paramref name="parts"/> stacked by rows; parts share columns but may differ in type.</summary>
    Matrix LoadMatrix(MatrixUse use, params IReadOnlyList<MatrixSource> parts);

    /// <summary>Packs a layer's experts.</summary>
    ExpertWeights LoadExperts(IReadOnlyList<ExpertSource> experts);

    /// <summary>Stores a vector.</summary>
    Vector LoadVector(ReadOnlySpan<float> values);

    /// <summary>How this device cuts memory into pages and states of a shape: sizes as it lays them out, padding included.</summary>
    MemoryGeometry GeometryOf(CacheShape shape);

    /// <summary>Allocates memory for pages and states: <paramref name="superblocks"/> of <see cref="GeometryOf"/>'s.</summary>
    CacheArena CreateArena(CacheShape shape, int superblocks);

    /// <summary>Copies one row of <paramref name="source"/> to the host, [width], once all operations so far are done.</summary>
    void Read(Activation source, int row, Span<float> destination);

    /// <summary>
    /// Fills in the shortlists that the last step's batch asked for (<see cref="StepBatch.Shortlists"/>), once they are found. False where reading whole
    /// rows costs no more, as on a device that shares the host's memory.
    /// </summary>
    bool TryReadShortlists(LogitShortlists lists) => false;

    /// <summary>Copies values from the host into one row of <paramref name="destination"/>, [width].</summary>
    void Write(ReadOnlySpan<float> source, Activation destination, int row);

    // ---- a step -------------------------------------------------------------------------------------------------------

    /// <summary>Makes a step's batch known to the device before its first operation.</summary>
    void BeginStep(StepBatch batch);

    /// <summary>
    /// Runs a step: <see cref="BeginStep"/>, then <paramref name="operations"/>. A device may hand them a batch with rows added that belong to
    /// nobody (<see cref="StepBatch.AddPadding"/>), up to <paramref name="mostRows"/> in all, and may record what they do for a batch of some
    /// size and repeat it without calling them; so they depend on the batch alone, and on all its counts only.
    /// </summary>
    void RunStep(StepBatch batch, int mostRows, Action<StepBatch> operations)
    {
        BeginStep(batch);
        operations(batch);
    }

    /// <summary><c>hidden[i] = table[tokens[i]]</c>.</summary>
    void Embed(StepBatch batch, Matrix table, Activation hidden);

    /// <summary><c>y = x * rsqrt(mean(x^2) + eps) * w</c> by rows; zero-centred weights come with the 1 already added.</summary>
    void RmsNorm(Activation x, Vector weight, float epsilon, Activation y, int rows);

    /// <summary><c>residual += delta; y = rmsnorm(residual) * w</c>.</summary>
    void AddRmsNorm(Activation residual, Activation delta, Vector weight, float epsilon, Activation y, int rows);

    /// <summary><c>residual += delta</c>.</summary>
    void Add(Activation residual, Activation delta, int rows);

    /// <summary><c>y = x W^T (+ bias)</c>; x is [rows, W.Columns], y is [rows, W.Rows].</summary>
    void Linear(Activation x, Matrix weight, Vector? bias, Activation y, int rows);

    /// <summary><c>y = silu(gateUp[:, :I]) * gateUp[:, I:]</c>; gateUp is [rows, 2 I].</summary>
    void SwiGlu(Activation gateUp, Activation y, int rows);

    /// <summary><c>y[i] = x[batch.LogitRows[i]]</c>.</summary>
    void GatherLogitRows(StepBatch batch, Activation x, Activation y);

    /// <summary>Finds in <paramref name="logits"/> what <see cref="StepBatch.Shortlists"/> asks for, if <see cref="TryReadShortlists"/> is to tell it.</summary>
    void Shortlist(StepBatch batch, Activation logits)
    {
    }

    // ---- gated DeltaNet -----------------------------------------------------------------------------------------------

    /// <summary>
    /// Causal depthwise convolution over the channels of <paramref name="qkv"/>, [tokens, channels], then SiLU. Tap
    /// <c>taps - 1</c> of <paramref name="weight"/> [channels, taps] meets the current token. Before a sequence's first token
    /// come zeros, or its slot's last <c>taps - 1</c> inputs. Updates and exports those inputs.
    /// </summary>
    void CausalConv(StepBatch batch, Activation qkv, Vector weight, StateCache states, int layer, Activation mixed);

    /// <summary>
    /// The gated delta rule on <paramref name="mixed"/> = [all q | all k | all v] after convolution. Per value head h (key head
    /// <see cref="LinearAttentionConfig.KeyHeadOf"/>): q and k L2-normalised (<c>x * rsqrt(sum x^2 + 1e-6)</c>), q scaled by DK^-0.5, <c>beta = sigmoid(b)</c>,
    /// <c>g = -exp(aLog) * softplus(a + dtBias)</c>; then for each token <c>S *= exp(g); d = beta (v - S^T k); S += k d^T; o = S^T q</c>.
    /// <paramref name="o"/> is [tokens, valueHeads * valueDim]. Reads, updates and exports the state [valueHeads, DK, DV].
    /// </summary>
    void GatedDeltaRule(
        StepBatch batch, Activation mixed, Activation b, Activation a, Vector aLog, Vector dtBias, StateCache states, int layer, Activation o);

    /// <summary>Per head of width <c>w.Length</c>: <c>y = rmsnorm(o) * w * silu(z)</c>.</summary>
    void GatedRmsNorm(Activation o, Activation z, Vector weight, float epsilon, Activation y, int rows);

    /// <summary>
    /// All of gated DeltaNet between its projections: <see cref="CausalConv"/>, <see cref="GatedDeltaRule"/> and <see cref="GatedRmsNorm"/>. What
    /// lies between them (<see cref="DeltaNetActivations.Mixed"/>, <see cref="DeltaNetActivations.Recalled"/>) may stay as it was.
    /// </summary>
    void GatedDeltaNet(StepBatch batch, DeltaNetActivations x, DeltaNetVectors w, StateCache states, int layer) =>
        InTurn(this, batch, x, w, states, layer);

    /// <summary>The same by its three operations in turn.</summary>
    protected static void InTurn(IBackend backend, StepBatch batch, DeltaNetActivations x, DeltaNetVectors w, StateCache states, int layer)
    {
        backend.CausalConv(batch, x.Qkv, w.Conv, states, layer, x.Mixed);
        backend.GatedDeltaRule(batch, x.Mixed, x.B, x.A, w.ALog, w.DtBias, states, layer, x.Recalled);
        backend.GatedRmsNorm(x.Recalled, x.Z, w.Norm, w.Epsilon, x.Gated, batch.TokenCount);
    }

    // ---- full attention -----------------------------------------------------------------------------------------------

    /// <summary>
    /// Per head: RMS norm of q and k (weights of headDim), rotary on the first <see cref="AttentionConfig.RotaryDim"/> elements
    /// (element i pairs with i + rotaryDim/2), q in place; k and <paramref name="v"/> go to the KV pages of <paramref name="layer"/>.
    /// </summary>
    void QkNormRopeAndStore(
        StepBatch batch, AttentionConfig shape, Activation q, Activation k, Activation v, Vector qNorm, Vector kNorm, float epsilon,
        KvCache kv, int layer);

    /// <summary>
    /// Causal grouped-query attention over the pages: <c>softmax(q k^T / sqrt(headDim)) v</c>, times <c>sigmoid(gate)</c> if there
    /// is one; q, gate and y are [tokens, queryHeads * headDim].
    /// </summary>
    void Attention(StepBatch batch, AttentionConfig shape, Activation q, Activation? gate, KvCache kv, int layer, Activation y);

    // ---- mixture of experts -------------------------------------------------------------------------------------------

    /// <summary>
    /// Softmax over all experts, the top k (ties to the lower index), renormalised to sum to one if
    /// <paramref name="normalise"/>.
    /// </summary>
    void Route(Activation logits, bool normalise, Routing routing, int rows);

    /// <summary>
    /// <see cref="Route"/> and, beside it, the shared expert's result, <c>shared.Result = (silu(gateUp[:, :I]) * gateUp[:, I:]) down^T</c>. What lies
    /// between (<see cref="SharedExpertActivations.Inner"/>) may stay as it was.
    /// </summary>
    void RouteBesideShared(Activation logits, bool normalise, Routing routing, SharedExpertActivations shared, Matrix down, int rows) =>
        InTurn(this, logits, normalise, routing, shared, down, rows);

    /// <summary>The same by its three operations in turn.</summary>
    protected static void InTurn(
        IBackend backend, Activation logits, bool normalise, Routing routing, SharedExpertActivations shared, Matrix down, int rows)
    {
        backend.Route(logits, normalise, routing, rows);
        backend.SwiGlu(shared.GateUp, shared.Inner, rows);
        backend.Linear(shared.Inner, down, null, shared.Result, rows);
    }

    /// <summary>
    /// Says that the next product after those of this layer is with <paramref name="weight"/>, so that a device whose memory would idle may bring it
    /// nearer. No result depends on it.
    /// </summary>
    void Anticipate(Matrix weight)
    {
    }

    /// <summary><c>y = sum over chosen experts of weight * down(silu(gate x) * up x)</c>.</summary>
    void Experts(Activation x, Routing routing, ExpertWeights experts, Activation y, int rows);

    /// <summary>The same, then <c>y += sigmoid(sharedGate[:, 0]) * shared</c>: the shared expert's result joins.</summary>
    void Experts(Activation x, Routing routing, ExpertWeights experts, Activation shared, Activation sharedGate, Activation y, int rows)
    {
        Experts(x, routing, experts, y, rows);
        AddGated(shared, sharedGate, y, rows);
    }

    /// <summary><c>y += sigmoid(gate[:, 0]) * x</c>: the shared expert joins.</summary>
    void AddGated(Activation x, Activation gate, Activation y, int rows);
}
