using Sluice.Checkpoints.Gguf;
using Sluice.Core;

namespace Sluice.Checkpoints.Quantising;

/// <summary>Which type each tensor of a GGUF file is stored in.</summary>
public enum GgufMix
{
    /// <summary>All in float32.</summary>
    F32,

    /// <summary>Matrices in bfloat16.</summary>
    BF16,

    /// <summary>Matrices in Q8_0.</summary>
    Q8_0,

    /// <summary>Matrices in Q4_K, those whose errors cost most in Q5_K and Q6_K.</summary>
    Q4_K_M,

    /// <summary>Matrices in Q5_K, those whose errors cost most in Q6_K.</summary>
    Q5_K_M,
}

/// <summary>The types a <see cref="GgufMix"/> gives, which are llama.cpp's but for widths that no block fits.</summary>
internal static class GgufMixes
{
    /// <summary>What <c>general.file_type</c> calls a mix.</summary>
    internal static uint FileType(GgufMix mix) => mix switch
    {
        GgufMix.F32 => 0,
        GgufMix.BF16 => 32,
        GgufMix.Q8_0 => 7,
        GgufMix.Q4_K_M => 15,
        _ => 17,
    };

    /// <summary>The type of a matrix, by its name in the file.</summary>
    /// <param name="mix">The mix.</param>
    /// <param name="name">Such as <c>blk.3.attn_v.weight</c>.</param>
    /// <param name="columns">Its contiguous dimension.</param>
    /// <param name="blocks">Blocks of the model, the prediction head's included.</param>
    /// <param name="tied">Whether the embedding is the output head as well.</param>
    internal static DType TypeOf(GgufMix mix, string name, int columns, int blocks, bool tied)
    {
        // The router decides which experts run at all, and the convolution is tiny: both stay exact.
        if (mix == GgufMix.F32 || name.EndsWith(".ffn_gate_inp.weight", StringComparison.Ordinal) || name.EndsWith(".ssm_conv1d.weight", StringComparison.Ordinal))
            return DType.F32;
        return Fitting(Wanted(mix, name, blocks, tied), columns);
    }

    private static DType Wanted(GgufMix mix, string name, int blocks, bool tied)
    {
        if (mix is GgufMix.BF16 or GgufMix.Q8_0)
            return mix == GgufMix.BF16 ? DType.BF16 : DType.Q8_0;
        DType usual = mix == GgufMix.Q4_K_M ? DType.Q4_K : DType.Q5_K;
        if (!GgufNames.TrySplit(name, out int block, out string rest))
            return name == GgufNames.Head || (name == GgufNames.Embedding && tied) ? DType.Q6_K : usual;
        if (rest == "attn_qkv.weight")
            return mix == GgufMix.Q4_K_M ? DType.Q5_K : DType.Q6_K;
        bool sensitive = rest == "attn_v.weight" || rest.StartsWith("ffn_down", StringComparison.Ordinal);
        return sensitive && HasMoreBits(block, blocks) ? DType.Q6_K : usual;
    }

    /// <summary>The first and last eighth of the blocks, and every third between.</summary>
    private static bool HasMoreBits(int block, int blocks) =>
        block < blocks / 8 || block >= 7 * blocks / 8 || (block - (blocks / 8)) % 3 == 2;

    /// <summary>Rows that are no whole blocks of the type wanted take a type of smaller blocks, and of no fewer bits.</summary>
    private static DType Fitting(DType wanted, int columns)
    {
        if (columns % wanted.Block().Elements == 0)
            return wanted;
        return columns % DType.Q8_0.Block().Elements == 0 ? DType.Q8_0 : DType.BF16;
    }
}
