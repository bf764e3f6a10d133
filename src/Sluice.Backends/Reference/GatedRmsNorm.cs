namespace Sluice.Backends.Reference;

/// <summary>
/// The norm inside gated DeltaNet, per head: <c>y = rmsnorm(o) * w * silu(z)</c>. Norm first, then the gate; the weight is plain, not
/// zero-centred, in every architecture.
/// </summary>
internal static class GatedRmsNorm
{
    public static void Run(ReferenceActivation o, ReferenceActivation z, ReferenceVector weight, float epsilon, ReferenceActivation y, int rows)
    {
        int width = weight.Length;
        for (int row = 0; row < rows; row++)
        {
            for (int start = 0; start < o.Width; start += width)
            {
                Span<float> head = y[row].Slice(start, width);
                RmsNorm.Row(o[row].Slice(start, width), weight.Values, epsilon, head);
                for (int i = 0; i < width; i++)
                    head[i] *= Nonlinearity.Silu(z[row][start + i]);
            }
        }
    }
}
