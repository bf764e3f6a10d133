using Sluice.Backends;
using Sluice.Models.Loading;

namespace Sluice.Models.Layers;

/// <summary>A gated feed-forward layer, <c>down(silu(gate x) * up x)</c> (Shazeer, arXiv:2002.05202).</summary>
internal sealed class DenseMlp : IChannelMixer
{
    private readonly IBackend _backend;
    private readonly Matrix _gateUp;
    private readonly Matrix _down;
    private readonly Buffers _buffers;

    private DenseMlp(IBackend backend, Matrix gateUp, Matrix down, Buffers buffers)
    {
        _backend = backend;
        _gateUp = gateUp;
        _down = down;
        _buffers = buffers;
    }

    /// <summary>Declares the weights under <paramref name="name"/>; the result builds the layer once they are loaded.</summary>
    /// <param name="loader">Where to declare them.</param>
    /// <param name="name">For example <c>model.layers.1.mlp</c>.</param>
    /// <param name="width">Width of the inner layer.</param>
    public static Func<IBackend, Buffers, DenseMlp> Declare(WeightLoader loader, string name, int width)
    {
        Pending<Matrix> gateUp = loader.GateUp(name, width);
        Pending<Matrix> down = loader.Linear(name + ".down_proj", loader.Config.HiddenSize, width);
        return (backend, buffers) => new DenseMlp(backend, gateUp.Value, down.Value, buffers);
    }

    /// <inheritdoc/>
    public void Run(Activation x, Activation delta, int rows)
    {
        _backend.Linear(x, _gateUp, null, _buffers.GateUp, rows);
        _backend.SwiGlu(_buffers.GateUp, _buffers.Inner, rows);
        _backend.Linear(_buffers.Inner, _down, null, delta, rows);
    }

    /// <summary>Activations that all layers of one width share.</summary>
    internal sealed class Buffers(IBackend backend, int rows, int width)
    {
        public Activation GateUp { get; } = backend.Allocate(rows, 2 * width);

        public Activation Inner { get; } = backend.Allocate(rows, width);
    }
}
