namespace Sluice.Backends.Reference;

/// <summary>
/// <c>y = x W^T (+ bias)</c>: x is [rows, columns], W [outputs, columns], y [rows, outputs].
/// <para>
/// Each output is one chain of fused multiply-adds in column order from zero, and the bias is added last. An FP8 weight is its
/// stored value times its scale, rounded to float32 once. A kernel that runs outputs or rows in lanes and columns in order
/// is therefore bitwise equal.
/// </para>
/// </summary>
internal static class Linear
{
    public static void Run(ReferenceActivation x, ReferenceMatrix weight, ReferenceVector? bias, ReferenceActivation y, int rows)
    {
        float[] w = new float[weight.Columns];
        for (int output = 0; output < weight.Rows; output++)
        {
            weight.DecodeRow(output, w);
            for (int row = 0; row < rows; row++)
            {
                float sum = Dot(x[row], w);
                y[row][output] = bias is null ? sum : sum + bias.Values[output];
            }
        }
    }

    /// <summary>The dot product as one chain of fused multiply-adds in index order.</summary>
    public static float Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> w)
    {
        float sum = 0;
        for (int i = 0; i < x.Length; i++)
            sum = MathF.FusedMultiplyAdd(x[i], w[i], sum);
        return sum;
    }
}
