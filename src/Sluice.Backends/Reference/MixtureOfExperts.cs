namespace Sluice.Backends.Reference;

/// <summary>
/// <c>y = sum over the row's experts e of weight_e * down_e(silu(gate_e x) * up_e x)</c>, summed in the order of the routing, so that a
/// row's result does not depend on the other rows.
/// </summary>
internal static class MixtureOfExperts
{
    public static void Run(ReferenceActivation x, ReferenceRouting routing, ReferenceExperts experts, ReferenceActivation y, int rows)
    {
        for (int row = 0; row < rows; row++)
        {
            y[row].Clear();
            for (int k = 0; k < routing.TopK; k++)
            {
                (ReferenceMatrix gateUp, ReferenceMatrix down) = experts[routing.Experts(row)[k]];
                float weight = routing.Weights(row)[k];
                float[] inner = new float[down.Columns];
                Elementwise.SwiGlu(Multiply(gateUp, x[row]), inner);
                float[] outer = Multiply(down, inner);
                for (int i = 0; i < outer.Length; i++)
                    y[row][i] = MathF.FusedMultiplyAdd(weight, outer[i], y[row][i]);
            }
        }
    }

    private static float[] Multiply(ReferenceMatrix matrix, ReadOnlySpan<float> x)
    {
        float[] weights = new float[matrix.Columns];
        float[] y = new float[matrix.Rows];
        for (int row = 0; row < matrix.Rows; row++)
        {
            matrix.DecodeRow(row, weights);
            y[row] = Linear.Dot(x, weights);
        }

        return y;
    }
}
