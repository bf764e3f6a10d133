namespace Sluice.Engine.Sampling;

/// <summary>A token and how likely the model itself found it, before penalties, temperature and filters.</summary>
/// <param name="Token">Token id.</param>
/// <param name="Logprob">Natural logarithm of its probability; negative infinity if it cannot occur.</param>
public readonly record struct TokenLogprob(int Token, float Logprob);

/// <summary>What a step chose for one sequence.</summary>
/// <param name="Token">Token id.</param>
/// <param name="Logprob">Its log-probability; NaN when none was asked for.</param>
/// <param name="TopLogprobs">The likeliest tokens, likeliest first, ties by lower id; null when none were asked for.</param>
public readonly record struct SampledToken(int Token, float Logprob, TokenLogprob[]? TopLogprobs);
