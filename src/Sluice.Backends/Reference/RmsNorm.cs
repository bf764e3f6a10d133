namespace Sluice.Backends.Reference;

/// <summary>
/// Root-mean-square norm, <c>y = x * rsqrt(mean(x^2) + eps) * w</c> (Zhang and Sennrich, arXiv:1910.07467). The weight is
/// applied as given: where a model stores it around zero, the 1 has been added at load.
/// </summary>
internal static class RmsNorm
{
    public static void Run(ReferenceActivation x, ReferenceVector weight, float epsilon, ReferenceActivation y, int rows)
    {
        for (int row = 0; row < rows; row++)
            Row(x[row], weight.Values, epsilon, y[row]);
    }

    /// <summary>One row; <paramref name="y"/> may be <paramref name="x"/>.</summary>
    public static void Row(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float epsilon, Span<float> y)
    {
        float scale = 1f / MathF.Sqrt((Linear.Dot(x, x) / x.Length) + epsilon);
        for (int i = 0; i < x.Length; i++)
            y[i] = x[i] * scale * weight[i];
    }
}
