namespace Sluice.Models.Verification;

/// <summary>What <see cref="Verifier"/> found; null for what the file did not have.</summary>
public sealed record VerificationReport
{
    /// <summary>
    /// An average is held to this part of the tolerance for a maximum, so that the default 1e-3 asks for a mean error of 1e-4 of
    /// the negative log-likelihood.
    /// </summary>
    public const double MeanFraction = 0.1;

    /// <summary>Tokens run.</summary>
    public required int Tokens { get; init; }

    /// <summary>Logits at every position.</summary>
    public Comparison? Logits { get; init; }

    /// <summary>Logits at the last position.</summary>
    public Comparison? LastLogits { get; init; }

    /// <summary>Negative log-likelihood of each token, in nats.</summary>
    public Comparison? NegativeLogLikelihood { get; init; }

    /// <summary>Fraction of positions with the same most likely token, from <c>argmax</c> or else <c>logits</c>.</summary>
    public double? ArgmaxAgreement { get; init; }

    /// <summary>Hidden states: the embedding, each layer's output, the last one after the final norm.</summary>
    public IReadOnlyList<Comparison> Hidden { get; init; } = [];

    /// <summary>
    /// Where another token is the most likely: by how much the expected logits prefer theirs to it. Infinite where logits are not known.
    /// </summary>
    public IReadOnlyList<double> ArgmaxGaps { get; init; } = [];

    /// <summary>The first of <see cref="Hidden"/> that departs, or null.</summary>
    /// <inheritdoc cref="Passes"/>
    public Comparison? FirstDeparture(double tolerance, bool isRounded = false) => Hidden.FirstOrDefault(state => !Agrees(state, tolerance, isRounded));

    /// <summary>
    /// Whether everything agrees: logits and hidden states to <paramref name="tolerance"/> of their standard deviation at most,
    /// negative log-likelihood to a tenth of it on average, the most likely token at all but that fraction of positions, not counting those where
    /// the expected logits of both tokens are within twice the tolerance.
    /// </summary>
    /// <param name="tolerance">In units of a standard deviation.</param>
    /// <param name="isRounded">
    /// Whether activations are rounded, to bfloat16 or coarser: mean errors of logits and hidden states are held to the tolerance instead of the largest, since a
    /// rounding that tips the choice of an expert changes a position altogether.
    /// </param>
    public bool Passes(double tolerance, bool isRounded = false)
    {
        double near = 2 * tolerance * (Logits?.StandardDeviation ?? 0);
        return Agrees(Logits, tolerance, isRounded)
            && Agrees(LastLogits, tolerance, isRounded)
            && (NegativeLogLikelihood is null || NegativeLogLikelihood.MeanError <= tolerance * MeanFraction)
            && ArgmaxGaps.Count(gap => gap > near) <= tolerance * Tokens
            && FirstDeparture(tolerance, isRounded) is null;
    }

    private static bool Agrees(Comparison? compared, double tolerance, bool isRounded) =>
        compared is null || (isRounded ? compared.RelativeMeanError : compared.RelativeMaxError) <= tolerance;
}
