namespace Sluice.Backends.Reference;

/// <summary>The operations that work element by element.</summary>
internal static class Elementwise
{
    /// <summary><c>y += x</c>, the residual connection.</summary>
    public static void Add(ReferenceActivation x, ReferenceActivation y, int rows)
    {
        for (int row = 0; row < rows; row++)
        {
            for (int i = 0; i < x.Width; i++)
                y[row][i] += x[row][i];
        }
    }

    /// <summary><c>y += sigmoid(gate[:, 0]) * x</c>, the shared expert's way in.</summary>
    public static void AddGated(ReferenceActivation x, ReferenceActivation gate, ReferenceActivation y, int rows)
    {
        for (int row = 0; row < rows; row++)
        {
            float weight = Nonlinearity.Sigmoid(gate[row][0]);
            for (int i = 0; i < x.Width; i++)
                y[row][i] = MathF.FusedMultiplyAdd(weight, x[row][i], y[row][i]);
        }
    }

    /// <summary><c>y = silu(gate) * up</c> where gateUp is [rows, gate I | up I] (Shazeer, arXiv:2002.05202).</summary>
    public static void SwiGlu(ReferenceActivation gateUp, ReferenceActivation y, int rows)
    {
        for (int row = 0; row < rows; row++)
            SwiGlu(gateUp[row], y[row]);
    }

    /// <summary>One row of <see cref="SwiGlu(ReferenceActivation, ReferenceActivation, int)"/>.</summary>
    public static void SwiGlu(ReadOnlySpan<float> gateUp, Span<float> y)
    {
        for (int i = 0; i < y.Length; i++)
            y[i] = Nonlinearity.Silu(gateUp[i]) * gateUp[y.Length + i];
    }
}
