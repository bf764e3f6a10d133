using Sluice.Backends;

namespace Sluice.Engine.Sampling;

/// <content>Choosing from a shortlist of the likeliest tokens, where that is certain to choose what the whole row would.</content>
public sealed partial class Sampler
{
    /// <summary>Asks <paramref name="lists"/> for what the next token of a sequence will need of its row.</summary>
    public void Ask(LogitShortlists lists, SequenceSampling sequence)
    {
        SamplingOptions options = sequence.Options;
        bool isGreedy = options.Temperature == 0 || options.TopK == 1;
        lists.Ask(isGreedy ? 0 : options.Temperature, !isGreedy && DrawsFromAll(options) ? sequence.NextUniform() : -1);
    }

    /// <summary>
    /// Chooses the next token from a shortlist; false when only the whole row can tell. Sums over all tokens were added up in another order than
    /// <see cref="Sample"/> adds them, so a number within rounding of the border between two tokens may choose the other.
    /// </summary>
    /// <param name="shortlist">The row's.</param>
    /// <param name="sequence">The sequence's options and memory.</param>
    /// <param name="sampled">The choice.</param>
    public bool TrySample(LogitShortlist shortlist, SequenceSampling sequence, out SampledToken sampled)
    {
        sampled = default;
        SamplingOptions options = sequence.Options;
        if (!shortlist.IsUsable || sequence.IsAdjusting || options.TopLogprobs > LogitShortlists.Length)
            return false;
        ReadOnlySpan<int> ids = shortlist.Ids;
        int index = IndexIn(shortlist, ids, sequence);
        int token = index >= 0 ? ids[index] : shortlist.Drawn;
        if (token < 0)
            return false;
        if (!options.WantsLogprobs)
        {
            sampled = new SampledToken(token, float.NaN, null);
            return true;
        }

        if (index < 0 && (index = ids.IndexOf(token)) < 0)
            return false;
        ReadOnlySpan<float> logits = shortlist.Logits;
        double logTotal = logits[0] + Math.Log(shortlist.Total);
        var top = new TokenLogprob[Math.Min(options.TopLogprobs.GetValueOrDefault(), ids.Length)];
        for (int i = 0; i < top.Length; i++)
            top[i] = new TokenLogprob(ids[i], (float)(logits[i] - logTotal));
        sampled = new SampledToken(token, (float)(logits[index] - logTotal), top);
        return true;
    }

    // As in Choose, a top-k of all tokens is none.
    private int TopK(SamplingOptions options) => options.TopK >= VocabularySize ? 0 : options.TopK;

    private bool DrawsFromAll(SamplingOptions options) => TopK(options) == 0 && options is { TopP: 1, MinP: 0 };

    /// <summary>Which of the shortlist it is; -1 when it is the token drawn from all, or not known.</summary>
    private int IndexIn(LogitShortlist shortlist, ReadOnlySpan<int> ids, SequenceSampling sequence)
    {
        SamplingOptions options = sequence.Options;
        if (options.Temperature == 0 || options.TopK == 1)
            return 0;
        if (DrawsFromAll(options))
            return -1;

        ReadOnlySpan<float> logits = shortlist.Logits;
        int topK = TopK(options);
        if (topK > LogitShortlists.Length)
            return -1;
        topK = Math.Min(topK, ids.Length); // a shorter list holds all tokens that are possible
        if (topK > 0)
            return DrawFromSorted(topK, WeighSorted(logits[..topK], logits[0], options.Temperature), options, sequence.NextUniform());

        // Enough if the nucleus ends within the list. A min-p alone draws in the order of ids, for which the row is needed.
        double sum = WeighSorted(logits, logits[0], options.Temperature);
        bool isEnough = options.TopP < 1 && sum >= options.TopP * shortlist.TemperedTotal;
        return isEnough ? DrawFromSorted(ids.Length, shortlist.TemperedTotal, options, sequence.NextUniform()) : -1;
    }
}
