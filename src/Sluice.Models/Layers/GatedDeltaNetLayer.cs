using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Core;
using Sluice.Models.Loading;

namespace Sluice.Models.Layers;

/// <summary>
/// Gated DeltaNet (Yang, Kautz and Hatamizadeh, arXiv:2412.06464) as Qwen3-Next and Qwen3.5 have it: project, convolve q, k and v, run the gated
/// delta rule, norm and gate its result, project back.
/// </summary>
internal sealed class GatedDeltaNetLayer : ITokenMixer
{
    private readonly IBackend _backend;
    private readonly StateCache _states;
    private readonly int _index;
    private readonly Weights _weights;
    private readonly Buffers _buffers;

    private GatedDeltaNetLayer(LayerResources resources, int index, Weights weights)
    {
        _backend = resources.Backend;
        _states = resources.States!;
        _buffers = resources.DeltaNet!;
        _index = index;
        _weights = weights;
    }

    /// <summary>Declares the weights under <paramref name="name"/>; the result builds the layer once they are loaded.</summary>
    /// <param name="loader">Where to declare them.</param>
    /// <param name="name">For example <c>model.layers.0.linear_attn</c>.</param>
    /// <param name="index">Which of the layers with a state this is.</param>
    public static Func<LayerResources, GatedDeltaNetLayer> Declare(WeightLoader loader, string name, int index)
    {
        ModelConfig config = loader.Config;
        LinearAttentionConfig shape = config.LinearAttention!;
        int values = shape.ValueHeads * shape.ValueDim;
        (MatrixSource[] projection, MatrixSource[] gates) = config.Architecture == Architecture.Qwen3Next && !loader.Has(name + ".in_proj_qkv") ? ByKeyHead() : Apart();

        Pending<Matrix> input = loader.Matrix(name + ".in_proj", MatrixUse.Linear, [.. projection, .. gates]);
        Pending<Vector> conv = loader.Vector(name + ".conv1d.weight", shape.ConvChannels, 1, shape.ConvKernel);
        Pending<Vector> aLog = loader.Vector(name + ".A_log", shape.ValueHeads);
        Pending<Vector> dtBias = loader.Vector(name + ".dt_bias", shape.ValueHeads);
        Pending<Vector> norm = loader.Vector(name + ".norm.weight", shape.ValueDim); // plain in every architecture
        Pending<Matrix> output = loader.Linear(name + ".out_proj", config.HiddenSize, values);
        return resources => new GatedDeltaNetLayer(
            resources, index,
            new Weights(
                input.Value, new DeltaNetVectors(conv.Value, aLog.Value, dtBias.Value, norm.Value, config.NormEpsilon), output.Value));

        // Qwen3-Next interleaves by key head.
        (MatrixSource[] Projection, MatrixSource[] Gates) ByKeyHead() => (
            [loader.Source(name + ".in_proj_qkvz", shape.ConvChannels + values, config.HiddenSize).SelectRows(RowOrder.QueryKeyValueGate(shape))],
            [loader.Source(name + ".in_proj_ba", 2 * shape.ValueHeads, config.HiddenSize).SelectRows(RowOrder.BetaDecay(shape))]);

        // Qwen3.5 stores them apart, and so do GGUF files of either.
        (MatrixSource[] Projection, MatrixSource[] Gates) Apart() => (
            [loader.Source(name + ".in_proj_qkv", shape.ConvChannels, config.HiddenSize), loader.Source(name + ".in_proj_z", values, config.HiddenSize)],
            [loader.Source(name + ".in_proj_b", shape.ValueHeads, config.HiddenSize), loader.Source(name + ".in_proj_a", shape.ValueHeads, config.HiddenSize)]);
    }

    /// <inheritdoc/>
    public Matrix First => _weights.Input;

    /// <inheritdoc/>
    public void Run(StepBatch batch, Activation x, Activation delta)
    {
        int rows = batch.TokenCount;
        _backend.Linear(x, _weights.Input, null, _buffers.Projection, rows);
        _backend.GatedDeltaNet(batch, _buffers.Inner, _weights.Inner, _states, _index);
        _backend.Linear(_buffers.Inner.Gated, _weights.Output, null, delta, rows);
    }

    /// <summary>Activations that all layers of this kind share.</summary>
    internal sealed class Buffers
    {
        public Buffers(IBackend backend, int rows, LinearAttentionConfig shape)
        {
            int values = shape.ValueHeads * shape.ValueDim;
            int gates = shape.ConvChannels + values;
            Projection = backend.Allocate(rows, gates + (2 * shape.ValueHeads));
            Inner = new DeltaNetActivations(
                Projection.Columns(0, shape.ConvChannels), Projection.Columns(shape.ConvChannels, values),
                Projection.Columns(gates, shape.ValueHeads), Projection.Columns(gates + shape.ValueHeads, shape.ValueHeads),
                backend.Allocate(rows, shape.ConvChannels), backend.Allocate(rows, values), backend.Allocate(rows, values));
        }

        /// <summary>[all q | all k | all v | all z | all b | all a].</summary>
        public Activation Projection { get; }

        /// <summary>Views of it, and what is made of them.</summary>
        public DeltaNetActivations Inner { get; }
    }

    private sealed record Weights(Matrix Input, DeltaNetVectors Inner, Matrix Output);
}
