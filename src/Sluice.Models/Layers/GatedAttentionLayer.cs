using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Core;
using Sluice.Models.Loading;

namespace Sluice.Models.Layers;

/// <summary>
/// Full attention: grouped queries, normed and rotated q and k, and, in Qwen3-Next and Qwen3.5, a gate per element of the
/// result. Qwen3 has no gate.
/// </summary>
internal sealed class GatedAttentionLayer : ITokenMixer
{
    private readonly IBackend _backend;
    private readonly AttentionConfig _shape;
    private readonly float _epsilon;
    private readonly KvCache _kv;
    private readonly int _index;
    private readonly Weights _weights;
    private readonly Buffers _buffers;

    private GatedAttentionLayer(LayerResources resources, ModelConfig config, int index, Weights weights)
    {
        _backend = resources.Backend;
        _kv = resources.Kv!;
        _buffers = resources.Attention!;
        _shape = config.Attention;
        _epsilon = config.NormEpsilon;
        _index = index;
        _weights = weights;
    }

    /// <summary>Declares the weights under <paramref name="name"/>; the result builds the layer once they are loaded.</summary>
    /// <param name="loader">Where to declare them.</param>
    /// <param name="name">For example <c>model.layers.3.self_attn</c>.</param>
    /// <param name="index">Which of the layers with a KV cache this is.</param>
    public static Func<LayerResources, GatedAttentionLayer> Declare(WeightLoader loader, string name, int index)
    {
        ModelConfig config = loader.Config;
        AttentionConfig shape = config.Attention;
        int queries = shape.QueryHeads * shape.HeadDim;
        int keys = shape.KvHeads * shape.HeadDim;
        int queriesStored = shape.OutputGate ? 2 * queries : queries;

        int[]? queryOrder = shape.OutputGate ? RowOrder.QueryGate(shape) : null;

        MatrixSource q = loader.Source(name + ".q_proj", queriesStored, config.HiddenSize);
        Pending<Matrix> projection = loader.Matrix(
            name + ".qkv_proj", MatrixUse.Linear, queryOrder is null ? q : q.SelectRows(queryOrder),
            loader.Source(name + ".k_proj", keys, config.HiddenSize), loader.Source(name + ".v_proj", keys, config.HiddenSize));
        Pending<Vector>? projectionBias = shape.Bias
            ? loader.Bias((name + ".q_proj", queriesStored, queryOrder), (name + ".k_proj", keys, null), (name + ".v_proj", keys, null))
            : null;
        Pending<Vector> qNorm = loader.Norm(name + ".q_norm", shape.HeadDim);
        Pending<Vector> kNorm = loader.Norm(name + ".k_norm", shape.HeadDim);
        Pending<Matrix> output = loader.Linear(name + ".o_proj", config.HiddenSize, queries);
        Pending<Vector>? outputBias = shape.Bias ? loader.Bias((name + ".o_proj", config.HiddenSize, null)) : null;
        return resources => new GatedAttentionLayer(
            resources, config, index,
            new Weights(projection.Value, projectionBias?.Value, qNorm.Value, kNorm.Value, output.Value, outputBias?.Value));
    }

    /// <inheritdoc/>
    public Matrix First => _weights.Projection;

    /// <inheritdoc/>
    public void Run(StepBatch batch, Activation x, Activation delta)
    {
        int rows = batch.TokenCount;
        _backend.Linear(x, _weights.Projection, _weights.ProjectionBias, _buffers.Projection, rows);
        _backend.QkNormRopeAndStore(batch, _shape, _buffers.Q, _buffers.K, _buffers.V, _weights.QNorm, _weights.KNorm, _epsilon, _kv, _index);
        _backend.Attention(batch, _shape, _buffers.Q, _buffers.Gate, _kv, _index, _buffers.Attended);
        _backend.Linear(_buffers.Attended, _weights.Output, _weights.OutputBias, delta, rows);
    }

    /// <summary>Activations that all layers of this kind share.</summary>
    internal sealed class Buffers
    {
        public Buffers(IBackend backend, int rows, AttentionConfig shape)
        {
            int queries = shape.QueryHeads * shape.HeadDim;
            int keys = shape.KvHeads * shape.HeadDim;
            int gates = shape.OutputGate ? queries : 0;
            Projection = backend.Allocate(rows, queries + gates + (2 * keys));
            Q = Projection.Columns(0, queries);
            Gate = shape.OutputGate ? Projection.Columns(queries, gates) : null;
            K = Projection.Columns(queries + gates, keys);
            V = Projection.Columns(queries + gates + keys, keys);
            Attended = backend.Allocate(rows, queries);
        }

        /// <summary>[all q | all gates, if any | all k | all v], of which the next four are views.</summary>
        public Activation Projection { get; }

        public Activation Q { get; }

        public Activation? Gate { get; }

        public Activation K { get; }

        public Activation V { get; }

        public Activation Attended { get; }
    }

    private sealed record Weights(Matrix Projection, Vector? ProjectionBias, Vector QNorm, Vector KNorm, Matrix Output, Vector? OutputBias);
}
