using System.Runtime.InteropServices;

namespace Sluice.Engine.Sampling;

/// <summary>
/// What sampling remembers of one sequence: its seed, how many tokens it has drawn, and which tokens it has seen. Nothing here
/// depends on other sequences, nor on whether this one was preempted in between.
/// </summary>
public sealed class SequenceSampling
{
    private readonly Dictionary<int, int>? _outputCounts;
    private ulong _drawn;

    /// <summary>Creates the memory of a sequence that starts with <paramref name="prompt"/>.</summary>
    /// <param name="options">How to sample.</param>
    /// <param name="seed">Key of the sequence's random numbers.</param>
    /// <param name="prompt">Token ids that the repetition penalty counts as seen.</param>
    public SequenceSampling(SamplingOptions options, ulong seed, ReadOnlySpan<int> prompt)
    {
        Options = options;
        Seed = seed;
        if (!options.HasPenalties)
            return;
        _outputCounts = [];
        if (options.RepetitionPenalty != 1)
        {
            foreach (int token in prompt)
                _outputCounts[token] = 0;
        }
    }

    /// <summary>How to sample.</summary>
    public SamplingOptions Options { get; }

    /// <summary>Key of the random numbers.</summary>
    public ulong Seed { get; }

    /// <summary>Whether <see cref="Adjust"/> changes logits.</summary>
    internal bool IsAdjusting => _outputCounts is not null || Options.LogitBias.Count > 0;

    /// <summary>The random number in [0, 1) that decides the next token: the same until <see cref="Accept"/>.</summary>
    internal double NextUniform() => Philox.Uniform(Seed, _drawn);

    /// <summary>Makes <paramref name="token"/> part of the output.</summary>
    public void Accept(int token)
    {
        _drawn++;
        if (_outputCounts is not null)
            CollectionsMarshal.GetValueRefOrAddDefault(_outputCounts, token, out _)++;
    }

    /// <summary>Applies bias and penalties to <paramref name="logits"/>, in place; false when there are none.</summary>
    internal bool Adjust(Span<float> logits)
    {
        foreach (LogitBias bias in Options.LogitBias)
            logits[bias.Token] += bias.Bias;
        if (_outputCounts is null)
            return Options.LogitBias.Count > 0;

        float repetition = Options.RepetitionPenalty, presence = Options.PresencePenalty, frequency = Options.FrequencyPenalty;
        foreach (var (token, count) in _outputCounts)
        {
            float logit = logits[token];
            logit = logit > 0 ? logit / repetition : logit * repetition;
            if (count > 0)
                logit -= (frequency * count) + presence;
            logits[token] = logit;
        }

        return true;
    }
}
