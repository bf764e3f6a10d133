namespace Sluice.Backends.Reference;

/// <summary>
/// Rotary position embedding (Su et al., arXiv:2104.09864) in the rotate-half form: of the first <c>rotaryDim</c> elements of a head,
/// element i and i + rotaryDim/2 turn by <c>position / theta^(2i / rotaryDim)</c>; the rest stay. Frequencies and angles are float32
/// as in transformers: at position 30,000 the rounding of an angle is 1e-3, so an exact angle would differ from the reference.
/// </summary>
public static class RotaryEmbedding
{
    /// <summary>The frequencies, <c>1 / theta^(2i / rotaryDim)</c>, [rotaryDim / 2].</summary>
    public static float[] Frequencies(double theta, int rotaryDim)
    {
        float[] frequencies = new float[rotaryDim / 2];
        for (int i = 0; i < frequencies.Length; i++)
            frequencies[i] = 1f / MathF.Pow((float)theta, 2f * i / rotaryDim);
        return frequencies;
    }

    /// <summary>Rotates one head in place.</summary>
    public static void Rotate(Span<float> head, int position, ReadOnlySpan<float> frequencies)
    {
        int half = frequencies.Length;
        for (int i = 0; i < half; i++)
        {
            (float sin, float cos) = MathF.SinCos(position * frequencies[i]);
            (float x, float y) = (head[i], head[half + i]);
            head[i] = (x * cos) - (y * sin);
            head[half + i] = (y * cos) + (x * sin);
        }
    }
}
