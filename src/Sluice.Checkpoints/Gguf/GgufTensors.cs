using System.Globalization;
using Sluice.Core;

namespace Sluice.Checkpoints.Gguf;

/// <summary>A tensor as it appears: where it lies, or a view that makes it.</summary>
internal readonly record struct GgufTensor(TensorInfo Info, TensorView? View);

/// <summary>
/// Undoes what makers of GGUF files do to Hugging Face's tensors:
/// <list type="bullet">
/// <item>norms stored around zero (all of the hybrid models' but the DeltaNet's own) have 1 added;</item>
/// <item><c>A_log</c> is stored as <c>-exp(A_log)</c>;</item>
/// <item>the experts of a layer are one tensor [experts, rows, columns], or gate above up in one;</item>
/// <item><c>in_proj_ba</c> keeps Qwen3-Next's order by key head, its <c>in_proj_qkvz</c> is split into q, k, v by kind and z; older files
/// keep the latter as well (<c>ssm_in</c>);</item>
/// <item>qwen35 and qwen35moe have all that belongs to value heads in another order: value head v = k r + j of key head k (r value heads to a key head)
/// lies at j K + k of K key heads, so that a broadcast over key heads meets it.</item>
/// </list>
/// Nothing is copied: rows are looked up where they lie. Where the configuration has <see cref="LinearAttentionConfig.TiledValueHeads"/>, the last is left as
/// it is.
/// </summary>
internal sealed class GgufTensors(ModelConfig config, GgufTensors.StoredBytes stored)
{
    private readonly Dictionary<string, GgufTensor> _tensors = new(StringComparer.Ordinal);

    /// <summary>A view of a weight file.</summary>
    internal delegate ReadOnlySpan<byte> StoredBytes(int shard, long offset, int count);

    private LinearAttentionConfig? Linear => config.LinearAttention;

    private bool TiledHeads => config.Architecture is Architecture.Qwen35 or Architecture.Qwen35Moe && Linear is { TiledValueHeads: false } shape && shape.KeyHeads != shape.ValueHeads;

    private bool PlainNorms => config.Architecture is Architecture.Qwen3 or Architecture.Qwen3Moe;

    /// <summary>Gives the tensors under their Hugging Face names; what is not known keeps its own.</summary>
    internal Dictionary<string, GgufTensor> Translate(IEnumerable<TensorInfo> tensors)
    {
        foreach (TensorInfo tensor in tensors)
        {
            switch (tensor.Name)
            {
                case GgufNames.Embedding:
                    Add(config.WeightPrefix + "embed_tokens.weight", tensor);
                    break;
                case GgufNames.FinalNorm:
                    AddNorm(config.WeightPrefix + "norm.weight", tensor);
                    break;
                case GgufNames.Head:
                    Add("lm_head.weight", tensor);
                    break;
                case var _ when GgufNames.TrySplit(tensor.Name, out int block, out string rest) && block < config.LayerCount + config.MtpLayers:
                    AddBlockTensor(tensor, block, rest);
                    break;
                default:
                    Add(tensor.Name, tensor);
                    break;
            }
        }

        return _tensors;
    }

    private void AddBlockTensor(TensorInfo tensor, int block, string rest)
    {
        int predicted = block - config.LayerCount;
        string prefix = predicted < 0
            ? string.Create(CultureInfo.InvariantCulture, $"{config.WeightPrefix}layers.{block}.")
            : string.Create(CultureInfo.InvariantCulture, $"mtp.layers.{predicted}.");
        if (predicted == 0 && GgufNames.HeadTensor(rest) is { } head)
        {
            if (head.EndsWith("norm.weight", StringComparison.Ordinal) || head.Contains("_norm_", StringComparison.Ordinal))
                AddNorm(head, tensor);
            else
                Add(head, tensor);
            return;
        }

        switch (rest)
        {
            case "ffn_gate_exps.weight" or "ffn_up_exps.weight" or "ffn_down_exps.weight":
                AddExperts(prefix, tensor, [rest["ffn_".Length..^"_exps.weight".Length]]);
                break;
            case "ffn_gate_up_exps.weight":
                AddExperts(prefix, tensor, ["gate", "up"]);
                break;
            case "ssm_ba.weight" when IsMatrix(tensor, 2 * Linear?.ValueHeads):
                int[] order = RowOrder.BetaDecay(Linear!);
                AddRows(prefix + "linear_attn.in_proj_b.weight", tensor, order[..Linear!.ValueHeads]);
                AddRows(prefix + "linear_attn.in_proj_a.weight", tensor, order[Linear.ValueHeads..]);
                break;
            case "ssm_in.weight" when IsMatrix(tensor, Linear?.ConvChannels + (Linear?.ValueHeads * Linear?.ValueDim)):
                int[] byKind = RowOrder.QueryKeyValueGate(Linear!);
                AddRows(prefix + "linear_attn.in_proj_qkv.weight", tensor, byKind[..Linear!.ConvChannels]);
                AddRows(prefix + "linear_attn.in_proj_z.weight", tensor, byKind[Linear.ConvChannels..]);
                break;
            case var _ when GgufNames.LayerTensor(rest, PlainNorms) is { } name:
                AddLayerTensor(prefix + name, tensor, rest);
                break;
            default:
                Add(predicted < 0 ? tensor.Name : prefix + rest, tensor);
                break;
        }
    }

    private void AddLayerTensor(string name, TensorInfo tensor, string rest)
    {
        bool tiled = TiledHeads;
        switch (rest)
        {
            case "attn_norm.weight" or "post_attention_norm.weight" or "ffn_norm.weight" or "attn_q_norm.weight" or "attn_k_norm.weight":
                AddNorm(name, tensor);
                break;
            case "ssm_a":
                AddNumbers(name, tensor, tiled ? RowOrder.Grouped(Linear!, 1) : null, static value => MathF.Log(-value));
                break;
            case "ssm_dt.bias" when tiled:
                AddNumbers(name, tensor, RowOrder.Grouped(Linear!, 1), static value => value);
                break;
            case "attn_qkv.weight" when tiled && IsMatrix(tensor, Linear!.ConvChannels):
                AddRows(name, tensor, RowOrder.GroupedChannels(Linear));
                break;
            case "attn_gate.weight" when tiled && IsMatrix(tensor, Linear!.ValueHeads * Linear.ValueDim):
                AddRows(name, tensor, RowOrder.Grouped(Linear, Linear.ValueDim));
                break;
            case "ssm_alpha.weight" or "ssm_beta.weight" when tiled && IsMatrix(tensor, Linear!.ValueHeads):
                AddRows(name, tensor, RowOrder.Grouped(Linear, 1));
                break;
            case "ssm_conv1d.weight" when IsMatrix(tensor, Linear?.ConvChannels):
                // Hugging Face's convolution has one input channel for each of its groups.
                AddRows(name, tensor, tiled ? RowOrder.GroupedChannels(Linear!) : null, [tensor.Shape[0], 1, tensor.Shape[1]]);
                break;
            case "ssm_out.weight" when tiled && tensor.Shape.Count == 2 && tensor.Shape[1] == Linear!.ValueHeads * Linear.ValueDim && tensor.Type.IsWeightType():
                AddColumns(name, tensor, RowOrder.Grouped(Linear, 1));
                break;
            case "ffn_gate_inp_shexp.weight" when tensor.Shape.Count == 1:
                Add(name, tensor with { Shape = [1, tensor.Shape[0]] });
                break;
            default:
                Add(name, tensor);
                break;
        }
    }

    /// <summary>One matrix for each expert and each of the <paramref name="parts"/> that lie one above the other.</summary>
    private void AddExperts(string prefix, TensorInfo tensor, ReadOnlySpan<string> parts)
    {
        if (tensor.Shape.Count != 3 || tensor.Shape[0] != config.Moe?.Experts || tensor.Shape[1] % parts.Length != 0)
        {
            Add(tensor.Name, tensor);
            return;
        }

        int rows = tensor.Shape[1] / parts.Length;
        long bytes = tensor.ByteLength / tensor.Shape[0] / parts.Length;
        int[] shape = [rows, tensor.Shape[2]];
        for (int expert = 0; expert < tensor.Shape[0]; expert++)
        {
            for (int part = 0; part < parts.Length; part++)
            {
                string name = string.Create(CultureInfo.InvariantCulture, $"{prefix}mlp.experts.{expert}.{parts[part]}_proj.weight");
                Add(name, tensor with { Shape = shape, Offset = tensor.Offset + (((expert * (long)parts.Length) + part) * bytes), ByteLength = bytes });
            }
        }
    }

    private void AddNorm(string name, TensorInfo tensor)
    {
        if (PlainNorms)
            Add(name, tensor);
        else
            AddNumbers(name, tensor, null, static value => value - 1);
    }

    private void AddNumbers(string name, TensorInfo tensor, int[]? order, Func<float, float> change)
    {
        // What is no vector, or cannot be changed, shows as it is, and whoever asks for it says what is wrong.
        if (tensor.Shape.Count != 1 || !Floats.CanWiden(tensor.Type) || tensor.ByteLength > int.MaxValue / 2 || (order is not null && order.Length != tensor.Shape[0]))
        {
            Add(name, tensor);
            return;
        }

        order ??= [.. Enumerable.Range(0, tensor.Shape[0])];
        TensorInfo info = tensor with { Name = name, Type = DType.F32, TypeName = nameof(DType.F32), ByteLength = order.Length * sizeof(float) };
        AddView(info, new TensorView.Numbers(tensor.Type, order, change, _ => stored(tensor.Shard, tensor.Offset, (int)tensor.ByteLength)));
    }

    private void AddRows(string name, TensorInfo tensor, int[]? order, int[]? shape = null)
    {
        int columns = tensor.Shape[^1];
        shape ??= [order?.Length ?? tensor.Shape[0], columns];
        if (order is null || tensor.Type == DType.Other)
        {
            Add(name, tensor with { Shape = shape });
            return;
        }

        int rowBytes = tensor.Type.RowBytes(columns);
        AddView(
            tensor with { Name = name, Shape = shape, ByteLength = (long)order.Length * rowBytes }, new TensorView.Rows(rowBytes, order, Row(tensor, rowBytes)));
    }

    private void AddColumns(string name, TensorInfo tensor, int[] heads)
    {
        int columns = tensor.Shape[1];
        int rowBytes = tensor.Type.RowBytes(columns);
        if (Linear!.ValueDim % tensor.Type.Block().Elements == 0)
        {
            AddView(tensor with { Name = name }, new TensorView.Pieces(rowBytes, heads, Row(tensor, rowBytes)));
            return;
        }

        AddView(
            tensor with { Name = name, Type = DType.F16, TypeName = $"{tensor.TypeName} as F16", ByteLength = (long)tensor.Shape[0] * columns * 2 },
            new TensorView.DecodedPieces(tensor.Type, columns, heads, Row(tensor, rowBytes), tensor.Name));
    }

    private TensorView.StoredRow Row(TensorInfo tensor, int rowBytes) => row => stored(tensor.Shard, tensor.Offset + ((long)row * rowBytes), rowBytes);

    private static bool IsMatrix(TensorInfo tensor, int? rows) => tensor.Shape.Count == 2 && tensor.Shape[0] == rows;

    private void Add(string name, TensorInfo tensor) => AddView(tensor with { Name = name }, null);

    private void AddView(TensorInfo info, TensorView? view)
    {
        if (_tensors.Count == Safetensors.SafetensorsHeader.MaxTensors)
            throw new CheckpointException($"more than {Safetensors.SafetensorsHeader.MaxTensors} tensors, experts one by one");
        if (!_tensors.TryAdd(info.Name, new GgufTensor(info, view)))
            throw new CheckpointException($"{Printable.Quote(info.Name)} is there in two forms");
    }
}
