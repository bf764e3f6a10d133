using System.Numerics.Tensors;

namespace Sluice.Engine.Sampling;

/// <summary>
/// Unnormalised probabilities <c>exp((logit - max) / temperature)</c> of a whole vocabulary, with a sum for each block, so that a
/// token is drawn without walking all of them. The likeliest token weighs exactly 1, so nothing overflows, however low the
/// temperature.
/// </summary>
internal sealed class SoftmaxWeights
{
    // 4 KiB of weights: each block stays in the first-level cache through its passes.
    private const int BlockSize = 1024;

    private readonly float[] _weights;
    private readonly double[] _blockSums;

    public SoftmaxWeights(int vocabularySize)
    {
        _weights = new float[vocabularySize];
        _blockSums = new double[(vocabularySize + BlockSize - 1) / BlockSize];
    }

    /// <summary>Weight of each token, [vocabulary].</summary>
    public ReadOnlySpan<float> Values => _weights;

    /// <summary>Their sum; at least 1.</summary>
    public double Total { get; private set; }

    /// <summary>Computes the weights of <paramref name="logits"/>, whose largest is <paramref name="max"/>.</summary>
    public void Compute(ReadOnlySpan<float> logits, float max, float temperature)
    {
        double total = 0;
        for (int block = 0; block < _blockSums.Length; block++)
        {
            int start = block * BlockSize;
            int length = Math.Min(BlockSize, logits.Length - start);
            Span<float> weights = _weights.AsSpan(start, length);
            TensorPrimitives.Subtract(logits.Slice(start, length), max, weights);
            if (temperature != 1)
                TensorPrimitives.Divide(weights, temperature, weights);
            TensorPrimitives.Exp(weights, weights);
            _blockSums[block] = TensorPrimitives.Sum<float>(weights);
            total += _blockSums[block];
        }

        Total = total;
    }

    /// <summary>The token at which the running sum of weights, in id order, passes <paramref name="target"/> in [0, Total).</summary>
    public int Draw(double target)
    {
        int block = 0;
        while (block < _blockSums.Length - 1 && target >= _blockSums[block])
            target -= _blockSums[block++];

        // Summing one by one rounds otherwise than the block's sum did, so the end of a block may come first: then the last token
        // that has any weight is the one. A token without weight is never drawn.
        int drawn = -1;
        for (; drawn < 0; block--)
        {
            int end = Math.Min((block + 1) * BlockSize, _weights.Length);
            for (int id = block * BlockSize; id < end; id++)
            {
                if (_weights[id] <= 0)
                    continue;
                drawn = id;
                target -= _weights[id];
                if (target < 0)
                    break;
            }
        }

        return drawn;
    }
}
