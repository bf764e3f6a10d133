namespace Sluice.Backends.Reference;

/// <summary>
/// Chooses each row's experts: the k largest of <c>softmax(logits)</c>, largest first, equal ones by lower index, with their
/// probabilities as weights, scaled to sum to one if asked. The choice compares logits, which order as probabilities do and
/// cannot be merged by rounding.
/// </summary>
internal static class Router
{
    public static void Run(ReferenceActivation logits, bool normalise, ReferenceRouting routing, int rows)
    {
        for (int row = 0; row < rows; row++)
            Row(logits[row], normalise, routing.Experts(row), routing.Weights(row));
    }

    private static void Row(ReadOnlySpan<float> logits, bool normalise, Span<int> experts, Span<float> weights)
    {
        bool[] taken = new bool[logits.Length];
        for (int k = 0; k < experts.Length; k++)
        {
            int best = -1;
            for (int e = 0; e < logits.Length; e++)
            {
                if (!taken[e] && (best < 0 || logits[e] > logits[best]))
                    best = e;
            }

            taken[best] = true;
            experts[k] = best;
        }

        float largest = logits[experts[0]];
        float all = 0;
        foreach (float logit in logits)
            all += MathF.Exp(logit - largest);
        float chosen = 0;
        for (int k = 0; k < experts.Length; k++)
        {
            weights[k] = MathF.Exp(logits[experts[k]] - largest) / all;
            chosen += weights[k];
        }

        for (int k = 0; normalise && k < weights.Length; k++)
            weights[k] /= chosen;
    }
}
