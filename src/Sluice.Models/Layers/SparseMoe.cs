using Sluice.Backends;
using Sluice.Core;
using Sluice.Models.Loading;

namespace Sluice.Models.Layers;

/// <summary>
/// A mixture of experts: each token goes through its top k of them, weighted by the router, and, in Qwen3-Next and Qwen3.5, through a
/// shared expert weighted by <c>sigmoid(shared_expert_gate x)</c>.
/// </summary>
internal sealed class SparseMoe : IChannelMixer
{
    private readonly IBackend _backend;
    private readonly bool _normalise;
    private readonly Matrix _inputs;
    private readonly ExpertWeights _experts;
    private readonly Matrix? _sharedDown;
    private readonly Buffers _buffers;

    private SparseMoe(LayerResources resources, bool normalise, Matrix inputs, ExpertWeights experts, Matrix? sharedDown)
    {
        _backend = resources.Backend;
        _buffers = resources.Moe!;
        _normalise = normalise;
        _inputs = inputs;
        _experts = experts;
        _sharedDown = sharedDown;
    }

    /// <summary>Declares the weights under <paramref name="name"/>; the result builds the layer once they are loaded.</summary>
    /// <param name="loader">Where to declare them.</param>
    /// <param name="name">For example <c>model.layers.0.mlp</c>.</param>
    public static Func<LayerResources, SparseMoe> Declare(WeightLoader loader, string name)
    {
        MoeConfig shape = loader.Config.Moe!;
        int hidden = loader.Config.HiddenSize;
        Pending<ExpertWeights> experts = loader.Experts(name + ".experts", shape);
        int shared = shape.SharedIntermediateSize;
        if (shared == 0)
        {
            Pending<Matrix> alone = loader.Linear(name + ".gate", shape.Experts, hidden);
            return resources => new SparseMoe(resources, shape.NormaliseTopK, alone.Value, experts.Value, null);
        }

        // All that is multiplied by the layer's input, in one product.
        Pending<Matrix> inputs = loader.Matrix(
            name + ".inputs", MatrixUse.Linear,
            loader.Source(name + ".shared_expert.gate_proj", shared, hidden), loader.Source(name + ".shared_expert.up_proj", shared, hidden),
            loader.Source(name + ".gate", shape.Experts, hidden), loader.Source(name + ".shared_expert_gate", 1, hidden));
        Pending<Matrix> down = loader.Linear(name + ".shared_expert.down_proj", hidden, shared);
        return resources => new SparseMoe(resources, shape.NormaliseTopK, inputs.Value, experts.Value, down.Value);
    }

    /// <inheritdoc/>
    public void Run(Activation x, Activation delta, int rows)
    {
        _backend.Linear(x, _inputs, null, _buffers.Inputs, rows);
        if (_sharedDown is null)
        {
            _backend.Route(_buffers.RouterLogits, _normalise, _buffers.Routing, rows);
            _backend.Experts(x, _buffers.Routing, _experts, delta, rows);
            return;
        }

        _backend.RouteBesideShared(_buffers.RouterLogits, _normalise, _buffers.Routing, _buffers.Shared!, _sharedDown, rows);
        _backend.Experts(x, _buffers.Routing, _experts, _buffers.Shared!.Result, _buffers.SharedGate!, delta, rows);
    }

    /// <summary>Activations that all layers of this kind share.</summary>
    internal sealed class Buffers
    {
        public Buffers(IBackend backend, int rows, int hidden, MoeConfig shape)
        {
            int shared = shape.SharedIntermediateSize;
            Inputs = backend.Allocate(rows, (2 * shared) + shape.Experts + (shared == 0 ? 0 : 1), isPrecise: true);
            RouterLogits = Inputs.Columns(2 * shared, shape.Experts);
            Routing = backend.AllocateRouting(rows, shape.TopK);
            if (shared == 0)
                return;
            SharedGate = Inputs.Columns((2 * shared) + shape.Experts, 1);
            Shared = new SharedExpertActivations(Inputs.Columns(0, 2 * shared), backend.Allocate(rows, shared), backend.Allocate(rows, hidden));
        }

        /// <summary>[shared expert's gate and up | router logits | gate of the shared expert's result]: the next ones are views.</summary>
        public Activation Inputs { get; }

        public Activation RouterLogits { get; }

        public Activation? SharedGate { get; }

        public Routing Routing { get; }

        public SharedExpertActivations? Shared { get; }
    }
}
