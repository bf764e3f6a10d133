namespace Sluice.Text.Tokenization;

/// <summary>
/// Decides whether a list of merge rules may be run as tiktoken runs its vocabularies: by the rank of the product alone, merging
/// whatever two neighbours spell a token, and taking a piece that is a token as it stands.
/// </summary>
/// <remarks>
/// <para>That equals the rule-by-rule definition on every text when (1) each token is the product of at most one rule, (2) that rule
/// comes after the rules of its two parts, and (3) encoding the token's own bytes by the rules gives the token back.</para>
/// <para>Why: take the first merge in a tiktoken run that no rule allows, of x and y into T. No merge crossed T's borders, so
/// within them the run so far is a run on T's bytes alone, and by rules only; that one passes through exactly one state of two
/// symbols, which by (3) are the parts of T's rule. So x and y were those parts. A contradiction.</para>
/// </remarks>
internal static class MergeOrder
{
    private const int Byte = -1;
    private const int NotMade = int.MaxValue;

    /// <summary>Whether the three conditions hold.</summary>
    /// <param name="merges">The rules in order.</param>
    /// <param name="table">The same rules by pair.</param>
    /// <param name="byteIds">The id of each byte's token; -1 for bytes that no text contains.</param>
    /// <param name="idCount">Above every id.</param>
    public static bool IsByProduct(ReadOnlySpan<Merge> merges, MergeTable table, int[] byteIds, int idCount)
    {
        int[] rankOf = new int[idCount];
        Array.Fill(rankOf, NotMade);
        foreach (int id in byteIds)
        {
            if (id >= 0)
                rankOf[id] = Byte;
        }

        for (int rank = 0; rank < merges.Length; rank++)
        {
            Merge merge = merges[rank];
            bool inOrder = rankOf[merge.Left] < rank && rankOf[merge.Right] < rank && rankOf[merge.Product] == NotMade;
            if (!inOrder || !PartsMeet(merges, table, rankOf, rank))
                return false;
            rankOf[merge.Product] = rank;
        }

        return true;
    }

    // Whether encoding the product's bytes arrives at its two parts side by side: that is, whether no rule joins something across
    // the border between them while they are being made. Since parts come before products, rules fire in order of rank, and the
    // symbols that touch the border at any moment are a pair from the right edge of the left part's tree and the left edge of the
    // right part's. Walk both edges down together, last made first.
    private static bool PartsMeet(ReadOnlySpan<Merge> merges, MergeTable table, int[] rankOf, int rank)
    {
        (int left, int right, _) = merges[rank];
        int leftGoneAt = rank;
        int rightGoneAt = rank;
        while (true)
        {
            // At equal ranks the leftmost pair merges first: the left part's own merge wins over a crossing, a crossing over the
            // right part's.
            if (table.TryGetRank(left, right, out int crossing) && crossing < leftGoneAt && crossing <= rightGoneAt)
                return false;

            int leftRank = rankOf[left];
            int rightRank = rankOf[right];
            if (leftRank == Byte && rightRank == Byte)
                return true;

            if (leftRank > rightRank)
            {
                leftGoneAt = leftRank;
                left = merges[leftRank].Right;
            }
            else
            {
                rightGoneAt = rightRank;
                right = merges[rightRank].Left;
            }
        }
    }
}
