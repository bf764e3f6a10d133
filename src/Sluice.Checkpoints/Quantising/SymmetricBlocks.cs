using System.Buffers.Binary;
using System.Runtime.Intrinsics;

namespace Sluice.Checkpoints.Quantising;

/// <summary>
/// Q6_K: 16 groups of 16, element = (d sc) q, q from -32 to 31, sc from -128 to 127. A group's factor may be negative, so that its widest element
/// can take the one step more that there is below zero.
/// </summary>
internal static class SymmetricBlocks
{
    private const int Groups = 16;
    private const int GroupSize = 16;
    private const int Steps = 32;
    private const int Lanes = 8;

    /// <summary>How far the search goes to either side of "the widest element takes step -32", in tenths of a step.</summary>
    private const int Reach = 9;

    internal static void EncodeQ6_K(ReadOnlySpan<float> values, Span<byte> stored)
    {
        Span<float> factors = stackalloc float[Groups];
        float widest = 0;
        for (int group = 0; group < Groups; group++)
        {
            factors[group] = Fit(values.Slice(group * GroupSize, GroupSize));
            if (Math.Abs(factors[group]) > Math.Abs(widest))
                widest = factors[group];
        }

        stored.Clear();
        var factor = (Half)(widest / -128);
        BinaryPrimitives.WriteHalfLittleEndian(stored[208..], factor);
        if (widest == 0)
            return;
        for (int group = 0; group < Groups; group++)
        {
            int sc = (int)Math.Clamp(MathF.Round(factors[group] / widest * -128), -128, 127);
            stored[192 + group] = (byte)(sbyte)sc;
            float scale = (float)factor * sc;
            if (scale == 0)
                sc = 0;
            for (int l = 0; l < GroupSize; l++)
            {
                float step = sc == 0 ? 0 : MathF.Round(values[(group * GroupSize) + l] / scale);
                Put(stored, (group * GroupSize) + l, (int)Math.Clamp(step, -Steps, Steps - 1) + Steps);
            }
        }
    }

    /// <summary>The factor with the least error, weighted by x^2; for given roundings q it is sum w x q / sum w q^2.</summary>
    private static float Fit(ReadOnlySpan<float> x)
    {
        float widest = 0;
        foreach (float value in x)
        {
            if (Math.Abs(value) > Math.Abs(widest))
                widest = value;
        }

        if (Math.Abs(widest) < 1e-15f)
            return 0;
        float best = 0;
        float mostExplained = -1;
        for (int tenths = -Reach; tenths <= Reach; tenths++)
        {
            float inverse = -(Steps + (0.1f * tenths)) / widest;
            Vector256<float> sumsXQ = default;
            Vector256<float> sumsQQ = default;
            for (int i = 0; i < GroupSize; i += Lanes)
            {
                // Relative to the widest, or squares of small weights would vanish.
                Vector256<float> value = Vector256.Create(x[i..]);
                Vector256<float> relative = value / widest;
                Vector256<float> q = Vector256.Clamp(Vector256.Round(value * inverse), Vector256.Create(-(float)Steps), Vector256.Create(Steps - 1f));
                sumsXQ += relative * relative * relative * q;
                sumsQQ += relative * relative * q * q;
            }

            // What is left of sum w x^2 is least where this is most.
            float sumXQ = Vector256.Sum(sumsXQ);
            float sumQQ = Vector256.Sum(sumsQQ);
            float explained = sumXQ * sumXQ / sumQQ;
            if (explained > mostExplained)
                (mostExplained, best) = (explained, widest * sumXQ / sumQQ);
        }

        return best;
    }

    /// <summary>Puts six bits where the decoder takes them from.</summary>
    private static void Put(Span<byte> stored, int i, int q)
    {
        int half = i / 128;
        int quarter = i % 128 / 32;
        int lane = i % 32;
        stored[(64 * half) + (quarter % 2 * 32) + lane] |= (byte)((q & 15) << (quarter / 2 * 4));
        stored[128 + (32 * half) + lane] |= (byte)(q >> 4 << (2 * quarter));
    }
}
