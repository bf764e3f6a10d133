using Sluice.Engine.Sampling;

namespace Sluice.Engine.Tests.Sampling;

/// <summary>
/// What sampling means, in as few lines as it takes: double arithmetic, a full sort, every filter in turn over a list of
/// (id, probability). The oracle of <see cref="Sampler"/>.
/// </summary>
internal static class ReferenceSampler
{
    /// <summary>The distribution the next token is drawn from: the tokens kept, likeliest first, with probabilities that sum to 1.</summary>
    public static List<(int Id, double P)> Distribution(
        IReadOnlyList<float> modelLogits, SamplingOptions options, IReadOnlyList<int> prompt, IReadOnlyList<int> output)
    {
        float[] logits = [.. modelLogits];
        foreach (LogitBias bias in options.LogitBias)
            logits[bias.Token] += bias.Bias;
        foreach (int id in prompt.Concat(output).Distinct())
            logits[id] = logits[id] > 0 ? logits[id] / options.RepetitionPenalty : logits[id] * options.RepetitionPenalty;
        foreach (var group in output.GroupBy(id => id))
            logits[group.Key] -= (options.FrequencyPenalty * group.Count()) + options.PresencePenalty;

        int[] ids = [.. Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id]).ThenBy(id => id)];
        if (options.Temperature == 0)
            return [(ids[0], 1)];
        if (options.TopK > 0)
            ids = ids[..Math.Min(options.TopK, ids.Length)];
        List<(int Id, double P)> kept = Normalised(ids.Select(id => (id, Math.Exp((logits[id] - logits[ids[0]]) / (double)options.Temperature))));
        if (options.TopP < 1)
        {
            double sum = 0;
            kept = Normalised(kept.TakeWhile(t =>
            {
                bool isIn = sum < options.TopP;
                sum += t.P;
                return isIn;
            }));
        }

        return Normalised(kept.Where(t => t.P >= options.MinP * kept[0].P));
    }

    /// <summary>Log-softmax of the model's own logits.</summary>
    public static double[] Logprobs(IReadOnlyList<float> logits)
    {
        double max = logits.Max();
        double logTotal = max + Math.Log(logits.Sum(l => Math.Exp(l - max)));
        return [.. logits.Select(l => l - logTotal)];
    }

    private static List<(int Id, double P)> Normalised(IEnumerable<(int Id, double Weight)> weights)
    {
        var list = weights.ToList();
        double total = list.Sum(t => t.Weight);
        return [.. list.Select(t => (t.Id, t.Weight / total))];
    }
}
