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
    private readonly Matrix? _sharedGate;
    private readonly Buffers _buffers;

    private SparseMoe(
        LayerResources resources, bool normalise, Matrix router, ExpertWeights experts, DenseMlp? sharedExpert, Matrix? sharedGate)
    {
        _backend = resources.Backend;
        _buffers = resources.Moe!;
        _normalise = normalise;
        _router = router;
        _experts = experts;
        _sharedExpert = sharedExpert;
        _sharedGate = sharedGate;
    }

    /// <summary>Declares the weights under <paramref name="name"/>; the result builds the layer once they are loaded.</summary>
    /// <param name="loader">Where to declare them.</param>
    /// <param name="name">For example <c>model.layers.0.mlp</c>.</param>
    public static Func<LayerResources, SparseMoe> Declare(WeightLoader loader, string name)
    {
        MoeConfig shape = loader.Config.Moe!;
        int hidden = loader.Config.HiddenSize;
        Pending<Matrix> router = loader.Linear(name + ".gate", shape.Experts, hidden);
        Pending<ExpertWeights> experts = loader.Experts(name + ".experts", shape);
        if (shape.SharedIntermediateSize == 0)
            return resources => new SparseMoe(resources, shape.NormaliseTopK, router.Value, experts.Value, null, null);

        Func<IBackend, DenseMlp.Buffers, DenseMlp> shared = DenseMlp.Declare(loader, name + ".shared_expert", shape.SharedIntermediateSize);
        Pending<Matrix> sharedGate = loader.Linear(name + ".shared_expert_gate", 1, hidden);
        return resources => new SparseMoe(
            resources, shape.NormaliseTopK, router.Value, experts.Value, shared(resources.Backend, resources.Moe!.Shared!), sharedGate.Value);
    }

    /// <inheritdoc/>
    public void Run(Activation x, Activation delta, int rows)
    {
        _backend.Linear(x, _router, null, _buffers.RouterLogits, rows);
        _backend.Route(_buffers.RouterLogits, _normalise, _buffers.Routing, rows);
        _backend.Experts(x, _buffers.Routing, _experts, delta, rows);
        if (_sharedExpert is null)
            return;
        _sharedExpert.Run(x, _buffers.SharedResult!, rows);
        _backend.Linear(x, _sharedGate!, null, _buffers.SharedGate!, rows);
        _backend.AddGated(_buffers.SharedResult!, _buffers.SharedGate!, delta, rows);
    }

    /// <summary>Activations that all layers of this kind share.</summary>
    internal sealed class Buffers
    {
        public Buffers(IBackend backend, int rows, int hidden, MoeConfig shape)
        {
            RouterLogits = backend.Allocate(rows, shape.Experts, isPrecise: true);
            Routing = backend.AllocateRouting(rows, shape.TopK);
            if (shape.SharedIntermediateSize == 0)
                return;
            Shared = new DenseMlp.Buffers(backend, rows, shape.SharedIntermediateSize);
            SharedResult = backend.Allocate(rows, hidden);
            SharedGate = backend.Allocate(rows, 1);
        }

        public Activation RouterLogits { get; }

        public Routing Routing { get; }

        public DenseMlp.Buffers? Shared { get; }

        public Activation? SharedResult { get; }

        public Activation? SharedGate { get; }
    }
}
