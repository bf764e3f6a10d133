using Sluice.Backends;
using Sluice.Core;
using Sluice.Models.Loading;

namespace Sluice.Models.Layers;

/// <summary>One layer: <c>h += tokenMixer(norm(h)); h += channelMixer(norm(h))</c>.</summary>
internal sealed record DecoderLayer(Vector InputNorm, ITokenMixer TokenMixer, Vector PostAttentionNorm, IChannelMixer ChannelMixer)
{
    /// <summary>Declares the weights of layer <paramref name="index"/>; the result builds it once they are loaded.</summary>
    public static Func<LayerResources, DecoderLayer> Declare(WeightLoader loader, int index)
    {
        ModelConfig config = loader.Config;
        string name = $"{config.WeightPrefix}layers.{index}";
        Pending<Vector> inputNorm = loader.Norm(name + ".input_layernorm", config.HiddenSize);
        Func<LayerResources, ITokenMixer> tokenMixer = config.Layers[index] switch
        {
            LayerKind.LinearAttention => GatedDeltaNetLayer.Declare(loader, name + ".linear_attn", IndexOfKind()),
            LayerKind.FullAttention => GatedAttentionLayer.Declare(loader, name + ".self_attn", IndexOfKind()),
            LayerKind kind => throw new ArgumentOutOfRangeException(nameof(loader), kind, "not a kind of layer"),
        };
        Pending<Vector> postAttentionNorm = loader.Norm(name + ".post_attention_layernorm", config.HiddenSize);
        Func<LayerResources, IChannelMixer> channelMixer =
            config.SparseLayers[index] ? SparseMoe.Declare(loader, name + ".mlp") : Dense();
        return resources => new DecoderLayer(inputNorm.Value, tokenMixer(resources), postAttentionNorm.Value, channelMixer(resources));

        // Caches count the layers of their own kind.
        int IndexOfKind()
        {
            int count = 0;
            for (int i = 0; i < index; i++)
                count += config.Layers[i] == config.Layers[index] ? 1 : 0;
            return count;
        }

        Func<LayerResources, IChannelMixer> Dense()
        {
            Func<IBackend, DenseMlp.Buffers, DenseMlp> mlp = DenseMlp.Declare(loader, name + ".mlp", config.IntermediateSize);
            return resources => mlp(resources.Backend, resources.Dense!);
        }
    }
}
