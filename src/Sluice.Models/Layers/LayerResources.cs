using Sluice.Backends;
using Sluice.Core;

namespace Sluice.Models.Layers;

/// <summary>What layers share: the device, the caches, and activations for each kind of layer that the model has.</summary>
internal sealed class LayerResources
{
    public LayerResources(IBackend backend, ModelConfig config, int rows, KvCache? kv, StateCache? states)
    {
        Backend = backend;
        Kv = kv;
        States = states;
        if (kv is not null)
            Attention = new GatedAttentionLayer.Buffers(backend, rows, config.Attention);
        if (states is not null)
            DeltaNet = new GatedDeltaNetLayer.Buffers(backend, rows, config.LinearAttention!);
        if (config.SparseLayers.Contains(true))
            Moe = new SparseMoe.Buffers(backend, rows, config.HiddenSize, config.Moe!);
        if (config.SparseLayers.Contains(false))
            Dense = new DenseMlp.Buffers(backend, rows, config.IntermediateSize);
    }

    public IBackend Backend { get; }

    public KvCache? Kv { get; }

    public StateCache? States { get; }

    public GatedAttentionLayer.Buffers? Attention { get; }

    public GatedDeltaNetLayer.Buffers? DeltaNet { get; }

    public SparseMoe.Buffers? Moe { get; }

    public DenseMlp.Buffers? Dense { get; }
}
