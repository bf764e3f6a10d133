using System.Text.Json.Nodes;
using Sluice.Checkpoints;
using Sluice.Core;

namespace Sluice.Testing;

/// <summary>
/// Makes a small random checkpoint for a configuration: the tensors that the architecture's own code would save, named, shaped and
/// packed as there.
/// </summary>
public sealed class CheckpointBuilder
{
    private readonly Random _random;

    /// <summary>Builds the tensors of <paramref name="config"/>; FP8 where it says so.</summary>
    public CheckpointBuilder(JsonObject config, int seed)
    {
        Json = config;
        Config = ModelConfigReader.Read(System.Text.Encoding.UTF8.GetBytes(config.ToJsonString()));
        _random = new Random(seed);
        Build();
    }

    public JsonObject Json { get; }

    public ModelConfig Config { get; }

    public Dictionary<string, StoredTensor> Tensors { get; } = [];

    /// <summary>Fields that all of these small models share.</summary>
    public static JsonObject BaseConfig(string modelType) => new()
    {
        ["model_type"] = modelType,
        ["dtype"] = "bfloat16",
        ["hidden_act"] = "silu",
        ["vocab_size"] = 96,
        ["hidden_size"] = 48,
        ["intermediate_size"] = 40,
        ["num_hidden_layers"] = 4,
        ["num_attention_heads"] = 4,
        ["num_key_value_heads"] = 2,
        ["head_dim"] = 16,
        ["max_position_embeddings"] = 4096,
        ["rms_norm_eps"] = 1e-6,
        ["rope_theta"] = 10000.0,
    };

    /// <summary>Fields of gated DeltaNet.</summary>
    public static JsonObject WithDeltaNet(JsonObject config, int keyHeads = 2, int valueHeads = 4, int keyDim = 16, int valueDim = 16, int taps = 4)
    {
        config["linear_num_key_heads"] = keyHeads;
        config["linear_num_value_heads"] = valueHeads;
        config["linear_key_head_dim"] = keyDim;
        config["linear_value_head_dim"] = valueDim;
        config["linear_conv_kernel_dim"] = taps;
        return config;
    }

    /// <summary>Fields of a mixture of experts.</summary>
    public static JsonObject WithExperts(JsonObject config, int experts = 5, int topK = 2, int width = 24, int shared = 20)
    {
        config["num_experts"] = experts;
        config["num_experts_per_tok"] = topK;
        config["moe_intermediate_size"] = width;
        config["shared_expert_intermediate_size"] = shared;
        return config;
    }

    /// <summary>Writes config.json and model.safetensors.</summary>
    public void Save(string folder)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), Json.ToJsonString());
        TensorFile.Write(Path.Combine(folder, "model.safetensors"), Tensors);
    }

    private void Build()
    {
        string prefix = Config.WeightPrefix;
        Add(prefix + "embed_tokens.weight", Normal(1, Config.VocabularySize, Config.HiddenSize));
        for (int i = 0; i < Config.LayerCount; i++)
        {
            string name = $"{prefix}layers.{i}.";
            AddNorm(name + "input_layernorm", Config.HiddenSize);
            if (Config.Layers[i] == LayerKind.LinearAttention)
                AddDeltaNet(name + "linear_attn.");
            else
                AddAttention(name + "self_attn.");
            AddNorm(name + "post_attention_layernorm", Config.HiddenSize);
            if (Config.SparseLayers[i])
                AddExperts(name + "mlp.");
            else
                AddMlp(name + "mlp.", Config.IntermediateSize);
        }

        AddNorm(prefix + "norm", Config.HiddenSize);
        if (!Config.TiedEmbeddings)
            Add("lm_head.weight", Normal(1 / Math.Sqrt(Config.HiddenSize), Config.VocabularySize, Config.HiddenSize));
    }

    private void AddDeltaNet(string name)
    {
        LinearAttentionConfig shape = Config.LinearAttention!;
        int values = shape.ValueHeads * shape.ValueDim;
        if (Config.Architecture == Architecture.Qwen3Next)
        {
            AddLinear(name + "in_proj_qkvz", shape.ConvChannels + values, Config.HiddenSize);
            AddPlainLinear(name + "in_proj_ba", 2 * shape.ValueHeads, Config.HiddenSize);
        }
        else
        {
            AddLinear(name + "in_proj_qkv", shape.ConvChannels, Config.HiddenSize);
            AddLinear(name + "in_proj_z", values, Config.HiddenSize);
            AddPlainLinear(name + "in_proj_b", shape.ValueHeads, Config.HiddenSize);
            AddPlainLinear(name + "in_proj_a", shape.ValueHeads, Config.HiddenSize);
        }

        Add(name + "conv1d.weight", Normal(0.5, shape.ConvChannels, 1, shape.ConvKernel));
        Tensors.Add(name + "A_log", StoredTensor.F32(Uniform(0, 2.5, shape.ValueHeads), shape.ValueHeads));
        Tensors.Add(name + "dt_bias", StoredTensor.F32(Uniform(-2, 2, shape.ValueHeads), shape.ValueHeads));
        Tensors.Add(name + "norm.weight", StoredTensor.F32(Uniform(0.7, 1.3, shape.ValueDim), shape.ValueDim));
        AddLinear(name + "out_proj", Config.HiddenSize, values);
    }

    private void AddAttention(string name)
    {
        AttentionConfig shape = Config.Attention;
        int queries = shape.QueryHeads * shape.HeadDim;
        foreach ((string projection, int rows, int columns) in new[]
        {
            ("q_proj", shape.OutputGate ? 2 * queries : queries, Config.HiddenSize),
            ("k_proj", shape.KvHeads * shape.HeadDim, Config.HiddenSize),
            ("v_proj", shape.KvHeads * shape.HeadDim, Config.HiddenSize),
            ("o_proj", Config.HiddenSize, queries),
        })
        {
            AddLinear(name + projection, rows, columns);
            if (shape.Bias)
                Add(name + projection + ".bias", Normal(0.2, rows));
        }

        AddNorm(name + "q_norm", shape.HeadDim);
        AddNorm(name + "k_norm", shape.HeadDim);
    }

    private void AddExperts(string name)
    {
        MoeConfig moe = Config.Moe!;
        AddPlainLinear(name + "gate", moe.Experts, Config.HiddenSize);
        for (int e = 0; e < moe.Experts; e++)
            AddMlp($"{name}experts.{e}.", moe.IntermediateSize);
        if (moe.SharedIntermediateSize == 0)
            return;
        AddMlp(name + "shared_expert.", moe.SharedIntermediateSize);
        AddPlainLinear(name + "shared_expert_gate", 1, Config.HiddenSize);
    }

    private void AddMlp(string name, int width)
    {
        AddLinear(name + "gate_proj", width, Config.HiddenSize);
        AddLinear(name + "up_proj", width, Config.HiddenSize);
        AddLinear(name + "down_proj", Config.HiddenSize, width);
    }

    private void AddNorm(string name, int width) => Tensors.Add(
        name + ".weight", StoredTensor.BF16(Config.ZeroCentredNorm ? Uniform(-0.3, 0.3, width) : Uniform(0.7, 1.3, width), width));

    private void AddPlainLinear(string name, int rows, int columns) => Add(name + ".weight", Normal(1.4 / Math.Sqrt(columns), rows, columns));

    /// <summary>A projection: FP8 with random bytes and a random scale per block if the model is FP8.</summary>
    private void AddLinear(string name, int rows, int columns)
    {
        if (Config.Fp8Block is not (int blockRows, int blockColumns))
        {
            AddPlainLinear(name, rows, columns);
            return;
        }

        // Bytes near 1.0 and 2.0 with random signs; the scales bring them to the size of a weight.
        byte[] bytes = new byte[rows * columns];
        for (int i = 0; i < bytes.Length; i++)
            bytes[i] = (byte)(_random.Next(0x28, 0x48) | (_random.Next(2) << 7));
        long[] shape = [(rows + blockRows - 1) / blockRows, (columns + blockColumns - 1) / blockColumns];
        float[] scales = Uniform(0.4 / Math.Sqrt(columns), 1.6 / Math.Sqrt(columns), (int)(shape[0] * shape[1]));
        Tensors.Add(name + ".weight", new StoredTensor(DType.F8E4M3, [rows, columns], bytes));
        Tensors.Add(name + ".weight_scale_inv", Tensors.Count % 2 == 0 ? StoredTensor.F32(scales, shape) : StoredTensor.BF16(scales, shape));
    }

    private void Add(string name, (float[] Values, long[] Shape) tensor) => Tensors.Add(name, Config.WeightType switch
    {
        DType.F32 => StoredTensor.F32(tensor.Values, tensor.Shape),
        DType.F16 => StoredTensor.F16(tensor.Values, tensor.Shape),
        _ => StoredTensor.BF16(tensor.Values, tensor.Shape),
    });

    private (float[] Values, long[] Shape) Normal(double deviation, params long[] shape)
    {
        float[] values = new float[shape.Aggregate((a, b) => a * b)];
        for (int i = 0; i < values.Length; i++)
            values[i] = (float)(deviation * Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble()));
        return (values, shape);
    }

    private float[] Uniform(double low, double high, int count)
    {
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
            values[i] = (float)(low + ((high - low) * _random.NextDouble()));
        return values;
    }
}
