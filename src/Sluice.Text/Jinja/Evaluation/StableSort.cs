namespace Sluice.Text.Jinja;

/// <summary>Merge sort: stable, as Python's is, and its errors come from the comparison as they are.</summary>
internal static class StableSort
{
    /// <summary>
    /// <paramref name="items"/> in the order of <paramref name="keys"/>; in descending order equal items keep their places too.
    /// </summary>
    public static Value[] By(RenderContext c, Value[] items, Value[] keys, bool descending = false)
    {
        int[] order = new int[items.Length];
        int[] merged = new int[items.Length];
        c.AllocateObject(3L * items.Length * sizeof(int));
        for (int i = 0; i < order.Length; i++)
        {
            order[i] = i;
        }

        for (int width = 1; width < order.Length && width > 0; width *= 2)
        {
            for (int start = 0; start < order.Length; start += 2 * width)
            {
                int middle = Math.Min(start + width, order.Length);
                Merge(c, keys, order, merged, start, middle, Math.Min(middle + width, order.Length), descending);
            }

            (order, merged) = (merged, order);
        }

        Value[] sorted = new Value[items.Length];
        c.AllocateItems(items.Length);
        for (int i = 0; i < sorted.Length; i++)
        {
            sorted[i] = items[order[i]];
        }

        return sorted;
    }

    private static void Merge(RenderContext c, Value[] keys, int[] from, int[] to, int start, int middle, int end, bool descending)
    {
        int left = start;
        int right = middle;
        for (int i = start; i < end; i++)
        {
            bool takeRight = left == middle ||
                (right < end && (descending
                    ? Ordering.IsLess(c, keys[from[left]], keys[from[right]])
                    : Ordering.IsLess(c, keys[from[right]], keys[from[left]])));
            to[i] = takeRight ? from[right++] : from[left++];
        }
    }
}
