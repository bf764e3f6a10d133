using System.Buffers.Binary;
using System.Runtime.Intrinsics;
using Sluice.Core;

namespace Sluice.Checkpoints.Quantising;

/// <summary>
/// Q4_K and Q5_K: 8 groups of 32, element = (d sc) q - (dmin m), q from 0 to 15 or 31, sc and m from 0 to 63. Each group first gets the real
/// factor and offset that suit it best; then both are rounded to their six bits, and the elements once more to what these make.
/// </summary>
internal static class OffsetBlocks
{
    private const int Groups = 8;
    private const int GroupSize = 32;
    private const int LargestSixBits = 63;
    private const int Lanes = 8;

    internal static void Encode(DType type, ReadOnlySpan<float> values, Span<byte> stored)
    {
        // How far from "the widest element takes the highest step" the search goes: more steps clip the widest, fewer waste the last.
        (int highest, float first, int tries) = type == DType.Q4_K ? (15, -1f, 20) : (31, -0.5f, 15);
        Span<float> factors = stackalloc float[Groups];
        Span<float> offsets = stackalloc float[Groups];
        for (int group = 0; group < Groups; group++)
            (factors[group], offsets[group]) = Fit(values.Slice(group * GroupSize, GroupSize), highest, first, tries);

        Half factor = (Half)(Largest(factors) / LargestSixBits);
        Half offset = (Half)(Largest(offsets) / LargestSixBits);
        BinaryPrimitives.WriteHalfLittleEndian(stored, factor);
        BinaryPrimitives.WriteHalfLittleEndian(stored[2..], offset);
        Span<byte> packed = stored.Slice(4, 12);
        Span<byte> high = type == DType.Q5_K ? stored.Slice(16, 32) : [];
        Span<byte> low = stored[(16 + high.Length)..];
        packed.Clear();
        high.Clear();
        low.Clear();
        for (int group = 0; group < Groups; group++)
        {
            int sc = SixBits(factors[group], Largest(factors));
            int m = SixBits(offsets[group], Largest(offsets));
            Pack(packed, group, sc, m);
            float scale = (float)factor * sc;
            float minimum = (float)offset * m;
            if (scale == 0)
                continue;
            for (int l = 0; l < GroupSize; l++)
            {
                int q = (int)Math.Clamp(MathF.Round((values[(group * GroupSize) + l] + minimum) / scale), 0, highest);
                low[(group / 2 * GroupSize) + l] |= (byte)((q & 15) << (group % 2 * 4));
                if (q > 15)
                    high[l] |= (byte)(1 << group);
            }
        }
    }

    /// <summary>
    /// The factor and the offset (0 or more) with the least squared error, weighted by rms + |x|: for each of some spacings the elements are
    /// rounded, and the best factor and offset for these roundings are the solution of two linear equations.
    /// </summary>
    private static (float Factor, float Offset) Fit(ReadOnlySpan<float> x, int highest, float first, int tries)
    {
        Span<float> weights = stackalloc float[GroupSize];
        float squares = 0;
        float lowest = 0; // an offset only lowers: if all are above zero, zero is the lowest that can be used
        float largest = x[0];
        foreach (float value in x)
        {
            squares += value * value;
            lowest = Math.Min(lowest, value);
            largest = Math.Max(largest, value);
        }

        if (largest <= lowest)
            return (0, -lowest);
        float rms = MathF.Sqrt(squares / GroupSize);
        float sumW = 0;
        float sumX = 0;
        for (int i = 0; i < GroupSize; i++)
        {
            weights[i] = rms + Math.Abs(x[i]);
            sumW += weights[i];
            sumX += weights[i] * x[i];
        }

        (float Factor, float Offset) best = ((largest - lowest) / highest, -lowest);
        float leastError = Error(x, weights, lowest, highest / (largest - lowest), highest, best.Factor, best.Offset);
        for (int attempt = 0; attempt <= tries; attempt++)
        {
            float inverse = (highest + first + (0.1f * attempt)) / (largest - lowest);
            Vector256<float> sumsQ = default;
            Vector256<float> sumsQQ = default;
            Vector256<float> sumsQX = default;
            for (int i = 0; i < GroupSize; i += Lanes)
            {
                Vector256<float> weighted = Steps(x, i, lowest, inverse, highest) * Vector256.Create(weights[i..]);
                sumsQ += weighted;
                sumsQQ += weighted * Steps(x, i, lowest, inverse, highest);
                sumsQX += weighted * Vector256.Create(x[i..]);
            }

            (float sumQ, float sumQQ, float sumQX) = (Vector256.Sum(sumsQ), Vector256.Sum(sumsQQ), Vector256.Sum(sumsQX));
            float determinant = (sumW * sumQQ) - (sumQ * sumQ);
            if (determinant <= 0)
                continue;
            float factor = ((sumW * sumQX) - (sumX * sumQ)) / determinant;
            float offset = ((sumQ * sumQX) - (sumQQ * sumX)) / determinant;
            if (offset < 0)
                (factor, offset) = (sumQX / sumQQ, 0);
            float error = Error(x, weights, lowest, inverse, highest, factor, offset);
            if (factor > 0 && error < leastError)
                (leastError, best) = (error, (factor, offset));
        }

        return best;
    }

    private static float Error(
        ReadOnlySpan<float> x, ReadOnlySpan<float> weights, float lowest, float inverse, int highest, float factor, float offset)
    {
        Vector256<float> error = default;
        for (int i = 0; i < GroupSize; i += Lanes)
        {
            Vector256<float> difference = (Steps(x, i, lowest, inverse, highest) * factor) - Vector256.Create(offset) - Vector256.Create(x[i..]);
            error += Vector256.Create(weights[i..]) * difference * difference;
        }

        return Vector256.Sum(error);
    }

    /// <summary>The steps, of <c>1 / inverse</c> each, that eight elements lie above the lowest, rounded and clipped.</summary>
    private static Vector256<float> Steps(ReadOnlySpan<float> x, int first, float lowest, float inverse, int highest) => Vector256.Clamp(
        Vector256.Round((Vector256.Create(x[first..]) - Vector256.Create(lowest)) * inverse), Vector256<float>.Zero, Vector256.Create((float)highest));

    private static int SixBits(float value, float largest) =>
        largest == 0 ? 0 : (int)Math.Clamp(MathF.Round(value * LargestSixBits / largest), 0, LargestSixBits);

    private static float Largest(ReadOnlySpan<float> values)
    {
        float largest = 0;
        foreach (float value in values)
            largest = Math.Max(largest, value);
        return largest;
    }

    /// <summary>The reverse of what the decoder's ScaleAndOffset explains.</summary>
    private static void Pack(Span<byte> packed, int group, int sc, int m)
    {
        if (group < 4)
        {
            packed[group] |= (byte)sc;
            packed[group + 4] |= (byte)m;
            return;
        }

        packed[group + 4] |= (byte)((sc & 15) | ((m & 15) << 4));
        packed[group - 4] |= (byte)(sc >> 4 << 6);
        packed[group] |= (byte)(m >> 4 << 6);
    }
}
