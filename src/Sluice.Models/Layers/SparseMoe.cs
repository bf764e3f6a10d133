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
    private readonly Matrix _router;
    private readonly ExpertWeights _experts;
    private readonly DenseMlp? _sharedExpert;
    private readonly Buffers _buffers;

    private SparseMoe(
        LayerResources resources, bool normalise, Matrix router, ExpertWeights experts, DenseMlp? sharedExpert)
    {
        _backend = resources.Backend;
        _buffers = resources.Moe!;
        _normalise = normalise;
        _router = router;
        _experts = experts;
        _sharedExpert = sharedExpert;
    }

    /// <summary>Declares the weights under <paramref name="name"/>; the result builds the layer once they are loaded.</summary>
    /// <param name="loader">Where to declare them.</param>
    /// <param name="name">For example <c>model.layers.0.mlp</c>.</param>
    public static Func<LayerResources, SparseMoe> Declare(WeightLoader loader, string name)
    {
        MoeConfig shape = loader.Config.Moe!;
        int hidden = loader.Config.HiddenSize;
        Pending<ExpertWeights> experts = loader.Experts(name + ".experts", shape);
        if (shape.SharedIntermediateSize == 0)
        {
            Pending<Matrix> alone = loader.Linear(name + ".gate", shape.Experts, hidden);
            return resources => new SparseMoe(resources, shape.NormaliseTopK, alone.Value, experts.Value, null);
        }

        Pending<Matrix> router = loader.Matrix(
            name + ".gates", MatrixUse.Linear, loader.Source(name + ".gate", shape.Experts, hidden), loader.Source(name + ".shared_expert_gate", 1, hidden));
        Func<IBackend, DenseMlp.Buffers, DenseMlp> shared = DenseMlp.Declare(loader, name + ".shared_expert", shape.SharedIntermediateSize);
        return resources => new SparseMoe(
            resources, shape.NormaliseTopK, router.Value, experts.Value, shared(resources.Backend, resources.Moe!.Shared!));
    }

    /// <inheritdoc/>
    public void Run(Activation x, Activation delta, int rows)
    {
        _backend.Linear(x, _router, null, _buffers.Gates, rows);
        _backend.Route(_buffers.RouterLogits, _normalise, _buffers.Routing, rows);
        if (_sharedExpert is null)
        {
            _backend.Experts(x, _buffers.Routing, _experts, delta, rows);
            return;
        }

        _sharedExpert.Run(x, _buffers.SharedResult!, rows);
        _backend.Experts(x, _buffers.Routing, _experts, _buffers.SharedResult!, _buffers.SharedGate!, delta, rows);
    }

    /// <summary>Activations that all layers of this kind share.</summary>
    internal sealed class Buffers
    {
        public Buffers(IBackend backend, int rows, int hidden, MoeConfig shape)
        {
            int sharedGates = shape.SharedIntermediateSize == 0 ? 0 : 1;
            Gates = backend.Allocate(rows, shape.Experts + sharedGates, isPrecise: true);
            RouterLogits = Gates.Columns(0, shape.Experts);
            Routing = backend.AllocateRouting(rows, shape.TopK);
            if (shape.SharedIntermediateSize == 0)
                return;
            Shared = new DenseMlp.Buffers(backend, rows, shape.SharedIntermediateSize);
            SharedResult = backend.Allocate(rows, hidden);
            SharedGate = Gates.Columns(shape.Experts, 1);
        }

        /// <summary>[router logits | the shared expert's gate, if there is one], of which the next and <see cref="SharedGate"/> are views.</summary>
        public Activation Gates { get; }

        public Activation RouterLogits { get; }

        public Routing Routing { get; }

        public DenseMlp.Buffers? Shared { get; }

        public Activation? SharedResult { get; }

        public Activation? SharedGate { get; }
    }
}
