using Sluice.Core;

namespace Sluice.Backends;

/// <summary>How keys and values are rounded: one definition for the reference and for fast backends, so that both keep the same numbers.</summary>
public static class KvRounding
{
    // Below this the reciprocal would not be finite; what is so small is nothing.
    private const float Smallest = 1e-30f;

    /// <summary>
    /// The nearest multiples of a 127th of the largest magnitude, ties to even; returns that 127th. With a NaN or an infinity in <paramref name="x"/>
    /// the factor is a NaN, so that whatever reads them shows it.
    /// </summary>
    public static float ToInt8(ReadOnlySpan<float> x, Span<sbyte> rounded)
    {
        float largest = 0;
        foreach (float value in x)
            largest = MathF.Max(largest, MathF.Abs(value));
        if (!float.IsFinite(largest) || largest < Smallest)
        {
            rounded[..x.Length].Clear();
            return float.IsFinite(largest) ? 0 : float.NaN;
        }

        float reciprocal = 127 / largest;
        for (int i = 0; i < x.Length; i++)
            rounded[i] = (sbyte)(int)MathF.Round(x[i] * reciprocal);
        return largest / 127;
    }

    /// <summary>Replaces each number by the one that is kept for it.</summary>
    public static void Round(KvDtype type, Span<float> x)
    {
        switch (type)
        {
            case KvDtype.BF16:
                foreach (ref float value in x)
                    value = StoredNumbers.FromBF16(StoredNumbers.ToBF16(value));
                break;
            case KvDtype.Int8:
                Span<sbyte> rounded = stackalloc sbyte[x.Length];
                float factor = ToInt8(x, rounded);
                for (int i = 0; i < x.Length; i++)
                    x[i] = rounded[i] * factor;
                break;
        }
    }
}
