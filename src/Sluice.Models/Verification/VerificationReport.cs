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

    /// <summary>The first of <see cref="Hidden"/> that departs, or null.</summary>
    public Comparison? FirstDeparture(double tolerance) => Hidden.FirstOrDefault(state => !(state.RelativeMaxError <= tolerance));

    /// <summary>
    /// Whether everything agrees: logits and hidden states to <paramref name="tolerance"/> of their standard deviation at most,
    /// negative log-likelihood to a tenth of it on average, the most likely token at all but that fraction of positions.
    /// </summary>
    public bool Passes(double tolerance) =>
        (Logits is null || Logits.RelativeMaxError <= tolerance)
        && (LastLogits is null || LastLogits.RelativeMaxError <= tolerance)
        && (NegativeLogLikelihood is null || NegativeLogLikelihood.MeanError <= tolerance * MeanFraction)
        && (ArgmaxAgreement is null || ArgmaxAgreement >= 1 - tolerance)
        && FirstDeparture(tolerance) is null;
}
