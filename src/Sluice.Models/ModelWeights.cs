using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Core;
using Sluice.Models.Layers;
using Sluice.Models.Loading;

namespace Sluice.Models;

/// <summary>A model's weights on a device: declared first, there once the plan has been loaded.</summary>
internal sealed class ModelWeights
{
    private const string MtpPrefix = "mtp.";
    private const string VisionPrefix = "model.visual.";
    private const string HeadName = "lm_head";

    private readonly Pending<Matrix> _embedding;
    private readonly Pending<Matrix> _head;
    private readonly Pending<Vector> _finalNorm;
    private readonly Func<LayerResources, DecoderLayer>[] _layers;

    private ModelWeights(WeightLoader loader, bool hasMtpHead)
    {
        ModelConfig config = loader.Config;
        string embedding = config.WeightPrefix + "embed_tokens";
        if (config.TiedEmbeddings)
        {
            _embedding = loader.Matrix(
                embedding, MatrixUse.EmbeddingAndLinear, loader.Source(embedding, config.VocabularySize, config.HiddenSize));
            _head = _embedding;
        }
        else
        {
            _embedding = loader.Matrix(embedding, MatrixUse.Embedding, loader.Source(embedding, config.VocabularySize, config.HiddenSize));
            _head = loader.Linear(HeadName, config.VocabularySize, config.HiddenSize);
        }

        _layers = new Func<LayerResources, DecoderLayer>[config.LayerCount];
        for (int i = 0; i < _layers.Length; i++)
            _layers[i] = DecoderLayer.Declare(loader, i);
        _finalNorm = loader.Norm(config.WeightPrefix + "norm", config.HiddenSize);
        HasMtpHead = hasMtpHead;
    }

    /// <summary>[vocabulary, hidden], read by token id.</summary>
    public Matrix Embedding => _embedding.Value;

    /// <summary>[vocabulary, hidden], multiplied with hidden states; the embedding itself when tied.</summary>
    public Matrix Head => _head.Value;

    /// <summary>The norm before the head, [hidden].</summary>
    public Vector FinalNorm => _finalNorm.Value;

    /// <summary>Whether there is a multi-token prediction head.</summary>
    public bool HasMtpHead { get; }

    /// <summary>Names every tensor the model needs, and those it knows and leaves.</summary>
    public static ModelWeights Declare(WeightPlan plan, TensorStore store, IBackend backend)
    {
        plan.Skip(MtpPrefix);
        plan.Skip(VisionPrefix);
        if (store.Config.TiedEmbeddings)
            plan.Skip(HeadName + "."); // some checkpoints store the tied head a second time
        bool hasMtpHead = store.Has(MtpPrefix + "fc.weight");
        return new ModelWeights(new WeightLoader(plan, backend, store.Config), hasMtpHead);
    }

    /// <summary>Builds the layers over loaded weights.</summary>
    public DecoderLayer[] BuildLayers(LayerResources resources) => Array.ConvertAll(_layers, build => build(resources));
}
