using Sluice.Core;

namespace Sluice.Checkpoints.Quantising;

/// <summary>
/// The tensors of a model as Hugging Face's folders have them, taken out of a GGUF file: the reverse of <see cref="GgufModelTensors"/>. Values, orders of heads and
/// experts are those folders' as the file is read (<see cref="Gguf.GgufTensors"/>); what is done here is to put together what only files have apart.
/// </summary>
internal static class HuggingFaceTensors
{
    /// <summary>What adding 1, or raising and taking the logarithm, may have rounded off in float32, of 1 plus a number's magnitude.</summary>
    private const float Rounding = 1f / (1 << 22);

    /// <summary>Names every tensor that a folder has, and says in one error all that is wrong with them.</summary>
    /// <exception cref="CheckpointException">Tensors are missing, misshapen, mistyped, or surplus.</exception>
    internal static List<AssembledTensor> Of(TensorStore store)
    {
        var plan = new WeightPlan(store);
        List<AssembledTensor> tensors = [.. ModelTensors.Of(store.Config).Select(tensor => Take(plan, tensor.Name, [.. tensor.Shape]))];
        plan.Validate();
        return tensors;
    }

    /// <summary>
    /// The type a tensor has in a folder if it is not quantised there: its own, but for blocks, which no folder has, and for float32 that only a file needs. Models
    /// are published in fewer bits, and files widen what is no matrix, and routers; numbers that are those bits still are stored as such.
    /// </summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="usual">The type the model's weights have.</param>
    internal static DType TypeOf(AssembledTensor tensor, DType usual)
    {
        DType[] types = tensor.Numbers is null ? [.. tensor.Parts.Select(part => part.Type).Distinct()] : [DType.F32];
        if (types is not [var type] || type.IsBlocked())
            return usual;
        return type == DType.F32 && usual != DType.F32 && Holds(usual, tensor) ? usual : type;
    }

    private static AssembledTensor Take(WeightPlan plan, string name, int[] shape)
    {
        const string Projections = "in_proj_qkvz.weight";
        const string Gates = "in_proj_ba.weight";
        if (shape.Length != 2)
            return new AssembledTensor(name, shape, plan.Vector(name, shape), []);
        LinearAttentionConfig? linear = plan.Config.LinearAttention;
        if (linear is not null && name.EndsWith(Projections, StringComparison.Ordinal))
            return Together(name[..^Projections.Length], RowOrder.QueryKeyValueGate(linear), [("in_proj_qkv", linear.ConvChannels), ("in_proj_z", shape[0] - linear.ConvChannels)]);
        if (linear is not null && name.EndsWith(Gates, StringComparison.Ordinal))
            return Together(name[..^Gates.Length], RowOrder.BetaDecay(linear), [("in_proj_b", linear.ValueHeads), ("in_proj_a", linear.ValueHeads)]);
        return new AssembledTensor(name, shape, null, [plan.Matrix(name, shape[0], shape[1])]);

        AssembledTensor Together(string module, int[] byKind, (string Name, int Rows)[] parts) => new(
            name, shape, null, [.. parts.Select(part => plan.Matrix($"{module}{part.Name}.weight", part.Rows, shape[1]))], RowOrder.Inverse(byKind));
    }

    private static bool Holds(DType type, AssembledTensor tensor)
    {
        float allowed = tensor.Numbers is null ? 0 : Rounding;
        float[] values = new float[tensor.Columns];
        float[] again = new float[tensor.Columns];
        byte[] stored = new byte[type.RowBytes(tensor.Columns)];
        byte[] scratch = new byte[tensor.ScratchBytes];
        for (int row = 0; row < tensor.Rows; row++)
        {
            tensor.Decode(row, values, scratch);
            Floats.Narrow(type, values, stored);
            Floats.Widen(type, stored, again);
            for (int c = 0; c < values.Length; c++)
            {
                if (!(Math.Abs(again[c] - values[c]) <= allowed * (1 + Math.Abs(values[c]))))
                    return false;
            }
        }

        return true;
    }
}
