namespace Sluice.Engine.Sampling;

/// <summary>
/// Splits candidates so that the likeliest come first, without sorting them: quickselect by count (top-k) or by probability mass
/// (top-p). Linear on average, for the cases where <see cref="TopSelection"/>'s heap would be large. The order is by logit, then by
/// lower id, as everywhere.
/// </summary>
internal static class LikeliestFirst
{
    /// <summary>Moves the <paramref name="count"/> likeliest of <paramref name="ids"/> to its front.</summary>
    public static void ByCount(Span<int> ids, ReadOnlySpan<float> logits, int count)
    {
        int low = 0, high = ids.Length;
        while (high - low > 1 && count > low && count < high)
        {
            int middle = low + Partition(ids[low..high], logits);
            if (count <= middle)
                high = middle;
            else if (count == middle + 1)
                return;
            else
                low = middle + 1;
        }
    }

    /// <summary>
    /// Moves to the front of <paramref name="ids"/> the fewest likeliest whose weights sum to at least <paramref name="mass"/>, and
    /// returns how many they are: at least 1, and all of them if the mass is never reached.
    /// </summary>
    public static int ByMass(Span<int> ids, ReadOnlySpan<float> logits, ReadOnlySpan<float> weights, double mass)
    {
        // Invariant: everything before `low` is in, everything from `high` on is out, and `mass` is what is still to be found.
        int low = 0, high = ids.Length;
        while (low < high)
        {
            int middle = low + Partition(ids[low..high], logits);
            double before = 0;
            for (int i = low; i < middle; i++)
                before += weights[ids[i]];
            if (middle > low && before >= mass)
            {
                high = middle;
                continue;
            }

            mass -= before + weights[ids[middle]];
            low = middle + 1;
            if (mass <= 0)
                return low;
        }

        return Math.Max(low, 1);
    }

    /// <summary>Puts likelier ids than some pivot before it and the others after it; returns where the pivot is.</summary>
    private static int Partition(Span<int> ids, ReadOnlySpan<float> logits)
    {
        int last = ids.Length - 1;
        MedianToEnd(ids, logits);
        int pivot = ids[last];
        float bar = logits[pivot];
        int store = 0;
        for (int i = 0; i < last; i++)
        {
            int id = ids[i];
            float logit = logits[id];
            if (logit > bar || (logit == bar && id < pivot))
            {
                ids[i] = ids[store];
                ids[store++] = id;
            }
        }

        ids[last] = ids[store];
        ids[store] = pivot;
        return store;
    }

    private static void MedianToEnd(Span<int> ids, ReadOnlySpan<float> logits)
    {
        int last = ids.Length - 1, middle = ids.Length / 2;
        if (last < 2)
            return;
        bool a = IsLikelier(ids[0], ids[middle], logits), b = IsLikelier(ids[middle], ids[last], logits);
        int median = a == b ? middle : IsLikelier(ids[0], ids[last], logits) == a ? last : 0;
        (ids[median], ids[last]) = (ids[last], ids[median]);
    }

    private static bool IsLikelier(int a, int b, ReadOnlySpan<float> logits) =>
        logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}
