namespace Sluice.Backends;

/// <summary>The activations of gated DeltaNet between its projections, all [tokens, ...].</summary>
/// <param name="Qkv">[q | k | v] before the convolution, [tokens, conv channels].</param>
/// <param name="Z">The output's gate, [tokens, valueHeads * valueDim].</param>
/// <param name="B">Before the sigmoid that makes beta, [tokens, valueHeads].</param>
/// <param name="A">What the decay is made of, [tokens, valueHeads].</param>
/// <param name="Mixed">Room for q, k and v after the convolution.</param>
/// <param name="Recalled">Room for what the states answer, as <paramref name="Z"/>.</param>
/// <param name="Gated">The result, as <paramref name="Z"/>.</param>
public sealed record DeltaNetActivations(
    Activation Qkv, Activation Z, Activation B, Activation A, Activation Mixed, Activation Recalled, Activation Gated);

/// <summary>The weights of gated DeltaNet between its projections.</summary>
/// <param name="Conv">[conv channels, taps].</param>
/// <param name="ALog">[valueHeads].</param>
/// <param name="DtBias">[valueHeads].</param>
/// <param name="Norm">[valueDim].</param>
/// <param name="Epsilon">Of the norm.</param>
public sealed record DeltaNetVectors(Vector Conv, Vector ALog, Vector DtBias, Vector Norm, float Epsilon);
