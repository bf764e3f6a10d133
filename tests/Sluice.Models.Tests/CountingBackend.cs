using Sluice.Backends;
using Sluice.Backends.Reference;
using Sluice.Core;

namespace Sluice.Models.Tests;

/// <summary>A device that loads weights like the reference, computes nothing and allocates nothing: it counts what it is asked.</summary>
internal sealed class CountingBackend : IBackend
{
    private readonly ReferenceBackend _inner = new();

    public int Calls { get; private set; }

    /// <summary>Multiplications with a matrix as tall as the vocabulary of the random checkpoints.</summary>
    public int Heads { get; private set; }

    public string Name => "counting";

    public long AvailableBytes => _inner.AvailableBytes;

    public Activation Allocate(int rows, int width, bool isPrecise = false) => _inner.Allocate(rows, width, isPrecise);

    public Routing AllocateRouting(int rows, int topK) => _inner.AllocateRouting(rows, topK);

    public Matrix LoadMatrix(MatrixUse use, params IReadOnlyList<MatrixSource> parts) => _inner.LoadMatrix(use, parts);

    public ExpertWeights LoadExperts(IReadOnlyList<ExpertSource> experts) => _inner.LoadExperts(experts);

    public Vector LoadVector(ReadOnlySpan<float> values) => _inner.LoadVector(values);

    public MemoryGeometry GeometryOf(CacheShape shape) => _inner.GeometryOf(shape);

    public CacheArena CreateArena(CacheShape shape, int superblocks) => _inner.CreateArena(shape, superblocks);

    public void Read(Activation source, int row, Span<float> destination) => _inner.Read(source, row, destination);

    public void Write(ReadOnlySpan<float> source, Activation destination, int row) => Calls++;

    public void BeginStep(StepBatch batch) => Calls++;

    public void Embed(StepBatch batch, Matrix table, Activation hidden) => Calls++;

    public void RmsNorm(Activation x, Vector weight, float epsilon, Activation y, int rows) => Calls++;

    public void AddRmsNorm(Activation residual, Activation delta, Vector weight, float epsilon, Activation y, int rows) => Calls++;

    public void Add(Activation residual, Activation delta, int rows) => Calls++;

    public void Linear(Activation x, Matrix weight, Vector? bias, Activation y, int rows)
    {
        Calls++;
        if (weight.Rows == 320)
            Heads++;
    }

    public void SwiGlu(Activation gateUp, Activation y, int rows) => Calls++;

    public void GatherLogitRows(StepBatch batch, Activation x, Activation y) => Calls++;

    public void CausalConv(StepBatch batch, Activation qkv, Vector weight, StateCache states, int layer, Activation mixed) => Calls++;

    public void GatedDeltaRule(
        StepBatch batch, Activation mixed, Activation b, Activation a, Vector aLog, Vector dtBias, StateCache states, int layer, Activation o) => Calls++;

    public void GatedRmsNorm(Activation o, Activation z, Vector weight, float epsilon, Activation y, int rows) => Calls++;

    public void QkNormRopeAndStore(
        StepBatch batch, AttentionConfig shape, Activation q, Activation k, Activation v, Vector qNorm, Vector kNorm, float epsilon,
        KvCache kv, int layer) => Calls++;

    public void Attention(StepBatch batch, AttentionConfig shape, Activation q, Activation? gate, KvCache kv, int layer, Activation y) => Calls++;

    public void Route(Activation logits, bool normalise, Routing routing, int rows) => Calls++;

    public void Experts(Activation x, Routing routing, ExpertWeights experts, Activation y, int rows) => Calls++;

    public void AddGated(Activation x, Activation gate, Activation y, int rows) => Calls++;

    public void Dispose() => _inner.Dispose();
}
