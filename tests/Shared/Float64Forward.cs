using Sluice.Core;

namespace Sluice.Testing;

/// <summary>
/// A forward pass of every architecture in float64, straight from the formulas and from a checkpoint's own packing: no re-packing, no
/// cache, no chunks, nothing shared with the product but the configuration. Slow; for small checkpoints.
/// </summary>
public sealed class Float64Forward(ModelConfig config, IReadOnlyDictionary<string, StoredTensor> tensors)
{
    private readonly Dictionary<string, double[]> _weights = [];

    /// <summary>Logits at every position, [tokens][vocabulary].</summary>
    public double[][] Logits(int[] ids)
    {
        string prefix = config.WeightPrefix;
        double[] table = Weight(prefix + "embed_tokens.weight");
        double[][] h = [.. ids.Select(id => table[(id * config.HiddenSize)..((id + 1) * config.HiddenSize)])];
        for (int layer = 0; layer < config.LayerCount; layer++)
        {
            string name = $"{prefix}layers.{layer}.";
            double[][] x = Each(h, row => Norm(row, name + "input_layernorm.weight", config.ZeroCentredNorm));
            Add(h, config.Layers[layer] == LayerKind.LinearAttention ? DeltaNet(x, name + "linear_attn.") : Attention(x, name + "self_attn."));
            x = Each(h, row => Norm(row, name + "post_attention_layernorm.weight", config.ZeroCentredNorm));
            Add(h, Each(x, row => config.SparseLayers[layer] ? Experts(row, name + "mlp.") : Mlp(row, name + "mlp.")));
        }

        string head = config.TiedEmbeddings ? prefix + "embed_tokens" : "lm_head";
        return Each(h, row => Linear(Norm(row, prefix + "norm.weight", config.ZeroCentredNorm), head));
    }

    private double[][] DeltaNet(double[][] x, string name)
    {
        LinearAttentionConfig shape = config.LinearAttention!;
        (int keyDim, int valueDim, int ratio) = (shape.KeyDim, shape.ValueDim, shape.ValueHeads / shape.KeyHeads);
        double[] taps = Weight(name + "conv1d.weight");
        double[] aLog = Weight(name + "A_log");
        double[] dtBias = Weight(name + "dt_bias");
        double[][] inputs = new double[x.Length][];
        double[][,] states = [.. Enumerable.Range(0, shape.ValueHeads).Select(_ => new double[keyDim, valueDim])];
        double[][] y = new double[x.Length][];
        for (int t = 0; t < x.Length; t++)
        {
            (inputs[t], double[] z, double[] b, double[] a) = Project(x[t], name);
            double[] mixed = new double[shape.ConvChannels];
            for (int c = 0; c < mixed.Length; c++)
            {
                for (int j = 0; j < shape.ConvKernel && j <= t; j++)
                    mixed[c] += inputs[t - j][c] * taps[(c * shape.ConvKernel) + shape.ConvKernel - 1 - j];
                mixed[c] = Silu(mixed[c]);
            }

            double[] gated = new double[shape.ValueHeads * valueDim];
            for (int head = 0; head < shape.ValueHeads; head++)
            {
                double[] q = L2(mixed.AsSpan(head / ratio * keyDim, keyDim));
                double[] k = L2(mixed.AsSpan((shape.KeyHeads + (head / ratio)) * keyDim, keyDim));
                double[,] s = states[head];
                double decay = Math.Exp(-Math.Exp(aLog[head]) * Math.Log(1 + Math.Exp(a[head] + dtBias[head])));
                double[] o = new double[valueDim];
                for (int j = 0; j < valueDim; j++)
                {
                    double known = 0;
                    for (int i = 0; i < keyDim; i++)
                        known += (s[i, j] *= decay) * k[i];
                    double d = Sigmoid(b[head]) * (mixed[(2 * shape.KeyHeads * keyDim) + (head * valueDim) + j] - known);
                    for (int i = 0; i < keyDim; i++)
                        o[j] += (s[i, j] += k[i] * d) * q[i] / Math.Sqrt(keyDim);
                }

                o = Norm(o, name + "norm.weight", zeroCentred: false);
                for (int j = 0; j < valueDim; j++)
                    gated[(head * valueDim) + j] = o[j] * Silu(z[(head * valueDim) + j]);
            }

            y[t] = Linear(gated, name + "out_proj");
        }

        return y;
    }

    /// <summary>[all q | all k | all v], z, b and a of one token, from either packing.</summary>
    private (double[] Qkv, double[] Z, double[] B, double[] A) Project(double[] x, string name)
    {
        LinearAttentionConfig shape = config.LinearAttention!;
        if (config.Architecture != Architecture.Qwen3Next)
            return (Linear(x, name + "in_proj_qkv"), Linear(x, name + "in_proj_z"), Linear(x, name + "in_proj_b"), Linear(x, name + "in_proj_a"));

        int ratio = shape.ValueHeads / shape.KeyHeads;
        int values = ratio * shape.ValueDim;
        double[][] heads = [.. Linear(x, name + "in_proj_qkvz").Chunk((2 * shape.KeyDim) + (2 * values))];
        double[][] gates = [.. Linear(x, name + "in_proj_ba").Chunk(2 * ratio)];
        return (
            [
                .. heads.SelectMany(head => head[..shape.KeyDim]),
                .. heads.SelectMany(head => head[shape.KeyDim..(2 * shape.KeyDim)]),
                .. heads.SelectMany(head => head[(2 * shape.KeyDim)..^values]),
            ],
            [.. heads.SelectMany(head => head[^values..])],
            [.. gates.SelectMany(head => head[..ratio])],
            [.. gates.SelectMany(head => head[ratio..])]);
    }

    private double[][] Attention(double[][] x, string name)
    {
        AttentionConfig shape = config.Attention;
        int stride = shape.OutputGate ? 2 * shape.HeadDim : shape.HeadDim;
        double[][] q = Each(x, row => Linear(row, name + "q_proj"));
        double[][] k = Each(x, row => Linear(row, name + "k_proj"));
        double[][] v = Each(x, row => Linear(row, name + "v_proj"));
        double[][] y = new double[x.Length][];
        for (int t = 0; t < x.Length; t++)
        {
            double[] joined = new double[shape.QueryHeads * shape.HeadDim];
            for (int head = 0; head < shape.QueryHeads; head++)
            {
                int start = head / (shape.QueryHeads / shape.KvHeads) * shape.HeadDim;
                double[] query = Rotate(Norm(q[t][(head * stride)..((head * stride) + shape.HeadDim)], name + "q_norm.weight", config.ZeroCentredNorm), t);
                double[] scores = new double[t + 1];
                for (int p = 0; p <= t; p++)
                {
                    double[] key = Rotate(Norm(k[p][start..(start + shape.HeadDim)], name + "k_norm.weight", config.ZeroCentredNorm), p);
                    scores[p] = Dot(query, key) / Math.Sqrt(shape.HeadDim);
                }

                double[] weights = Softmax(scores);
                for (int i = 0; i < shape.HeadDim; i++)
                {
                    double sum = 0;
                    for (int p = 0; p <= t; p++)
                        sum += weights[p] * v[p][start + i];
                    joined[(head * shape.HeadDim) + i] = shape.OutputGate ? sum * Sigmoid(q[t][(head * stride) + shape.HeadDim + i]) : sum;
                }
            }

            y[t] = Linear(joined, name + "o_proj");
        }

        return y;
    }

    private double[] Rotate(double[] head, int position)
    {
        int half = config.Attention.RotaryDim / 2;
        double[] turned = [.. head];
        for (int i = 0; i < half; i++)
        {
            double angle = position * Math.Pow(config.Attention.RopeTheta, -(double)i / half);
            turned[i] = (head[i] * Math.Cos(angle)) - (head[half + i] * Math.Sin(angle));
            turned[half + i] = (head[half + i] * Math.Cos(angle)) + (head[i] * Math.Sin(angle));
        }

        return turned;
    }

    private double[] Experts(double[] x, string name)
    {
        MoeConfig moe = config.Moe!;
        double[] weights = Softmax(Linear(x, name + "gate"));
        int[] chosen = [.. Enumerable.Range(0, moe.Experts).OrderByDescending(e => weights[e]).ThenBy(e => e).Take(moe.TopK)];
        double sum = moe.NormaliseTopK ? chosen.Sum(e => weights[e]) : 1;
        double[] y = new double[x.Length];
        foreach (int expert in chosen)
        {
            double[] result = Mlp(x, $"{name}experts.{expert}.");
            for (int i = 0; i < y.Length; i++)
                y[i] += weights[expert] / sum * result[i];
        }

        if (moe.SharedIntermediateSize > 0)
        {
            double gate = Sigmoid(Linear(x, name + "shared_expert_gate")[0]);
            double[] shared = Mlp(x, name + "shared_expert.");
            for (int i = 0; i < y.Length; i++)
                y[i] += gate * shared[i];
        }

        return y;
    }

    private double[] Mlp(double[] x, string name)
    {
        double[] up = Linear(x, name + "up_proj");
        return Linear([.. Linear(x, name + "gate_proj").Select((gate, i) => Silu(gate) * up[i])], name + "down_proj");
    }

    private double[] Linear(double[] x, string name)
    {
        double[] weight = Weight(name + ".weight");
        double[]? bias = tensors.ContainsKey(name + ".bias") ? Weight(name + ".bias") : null;
        double[] y = new double[weight.Length / x.Length];
        for (int row = 0; row < y.Length; row++)
            y[row] = Dot(weight.AsSpan(row * x.Length, x.Length), x) + (bias?[row] ?? 0);
        return y;
    }

    private double[] Norm(double[] x, string name, bool zeroCentred)
    {
        double[] weight = Weight(name);
        double scale = 1 / Math.Sqrt((Dot(x, x) / x.Length) + config.NormEpsilon);
        return [.. x.Select((value, i) => value * scale * (zeroCentred ? 1 + weight[i] : weight[i]))];
    }

    /// <summary>A tensor's elements, times their block's scale if it has scales.</summary>
    private double[] Weight(string name)
    {
        if (_weights.TryGetValue(name, out double[]? known))
            return known;
        StoredTensor tensor = tensors[name];
        double[] values = [.. tensor.Floats().Select(value => (double)value)];
        if (tensors.TryGetValue(name + "_scale_inv", out StoredTensor? scales))
        {
            float[] factors = scales.Floats();
            (int blockRows, int blockColumns) = config.Fp8Block!.Value;
            int columns = (int)tensor.Shape[1];
            int blocks = (columns + blockColumns - 1) / blockColumns;
            for (int i = 0; i < values.Length; i++)
                values[i] *= factors[(i / columns / blockRows * blocks) + (i % columns / blockColumns)];
        }

        return _weights[name] = values;
    }

    private static double[][] Each(double[][] rows, Func<double[], double[]> map) => Array.ConvertAll(rows, row => map(row));

    private static void Add(double[][] to, double[][] delta)
    {
        for (int t = 0; t < to.Length; t++)
            to[t] = [.. to[t].Zip(delta[t], (a, b) => a + b)];
    }

    private static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++)
            sum += x[i] * y[i];
        return sum;
    }

    private static double[] L2(ReadOnlySpan<double> x)
    {
        double scale = 1 / Math.Sqrt(Dot(x, x) + 1e-6);
        return Array.ConvertAll(x.ToArray(), value => value * scale);
    }

    private static double[] Softmax(double[] x)
    {
        double largest = x.Max();
        double sum = x.Sum(value => Math.Exp(value - largest));
        return Array.ConvertAll(x, value => Math.Exp(value - largest) / sum);
    }

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double Silu(double x) => x * Sigmoid(x);
}
