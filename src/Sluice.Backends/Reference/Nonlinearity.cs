namespace Sluice.Backends.Reference;

/// <summary>Scalar non-linearities in float32.</summary>
internal static class Nonlinearity
{
    /// <summary><c>1 / (1 + exp(-x))</c>.</summary>
    public static float Sigmoid(float x) => 1f / (1f + MathF.Exp(-x));

    /// <summary><c>x * sigmoid(x)</c>.</summary>
    public static float Silu(float x) => x * Sigmoid(x);

    /// <summary><c>log(1 + exp(x))</c>, and x itself beyond 20, where the two are one float32.</summary>
    /// <remarks>
    /// In binary64, because <c>1 + exp(x)</c> in float32 loses the small values that make a slowly forgetting head. Below -17
    /// the series <c>log(1 + e) = e - e^2/2 + ...</c> has only its first term left.
    /// </remarks>
    public static float Softplus(float x) => x switch
    {
        > 20f => x,
        < -17f => MathF.Exp(x),
        _ => (float)Math.Log(1.0 + Math.Exp(x)),
    };
}
