using System.Buffers;
using System.Security.Cryptography;

namespace Sluice.Text.Tokenization;

/// <summary>
/// The merge rules by pair, and byte-pair encoding with them in O(n log n): of all adjacent pairs that have a rule, the one with
/// the lowest rank merges first, the leftmost of equals.
/// </summary>
/// <remarks>
/// This is Hugging Face's definition, for any list of rules. <see cref="PieceEncoder"/> uses it where the library may not be: for
/// long pieces, in which the library's time is quadratic, and for lists that the library's rank-of-the-product shortcut misreads.
/// </remarks>
internal sealed class MergeTable
{
    private readonly Dictionary<Pair, Rule> _rules;
    private readonly int[] _byteIds;

    /// <summary>Indexes the rules; the rank is the place in the list, and of two rules for a pair the later counts.</summary>
    /// <param name="merges">The rules in order.</param>
    /// <param name="byteIds">The id of each byte's token; -1 for bytes that no text contains.</param>
    public MergeTable(ReadOnlySpan<Merge> merges, int[] byteIds)
    {
        _byteIds = byteIds;
        _rules = new Dictionary<Pair, Rule>(merges.Length);
        for (int rank = 0; rank < merges.Length; rank++)
            _rules[new Pair(merges[rank].Left, merges[rank].Right)] = new Rule(rank, merges[rank].Product);
    }

    /// <summary>The rank of the rule for a pair.</summary>
    public bool TryGetRank(int left, int right, out int rank)
    {
        bool found = _rules.TryGetValue(new Pair(left, right), out Rule rule);
        rank = rule.Rank;
        return found;
    }

    /// <summary>Appends the ids of <paramref name="bytes"/>, one piece of UTF-8 text.</summary>
    public void Encode(ReadOnlySpan<byte> bytes, List<int> ids)
    {
        Symbol[] rented = ArrayPool<Symbol>.Shared.Rent(bytes.Length + 1);

        // At most a candidate for each pair there is at first, and one more, net, with each merge.
        long[] queued = ArrayPool<long>.Shared.Rent(checked(2 * bytes.Length));

        // A symbol that never merges stands behind the last.
        Span<Symbol> symbols = rented.AsSpan(0, bytes.Length + 1);
        for (int i = 0; i < bytes.Length; i++)
            symbols[i] = new Symbol { Id = _byteIds[bytes[i]], Previous = i - 1, Next = i + 1 };
        symbols[^1] = new Symbol { Id = -1, Previous = bytes.Length - 1, Rule = Rule.None };

        var queue = new MinimumHeap(queued);
        for (int i = 0; i < bytes.Length; i++)
            Propose(symbols, i, ref queue);
        while (queue.TryPop(out long candidate))
            Merge(symbols, candidate, ref queue);

        for (int i = 0; i < bytes.Length; i = symbols[i].Next)
            ids.Add(symbols[i].Id);
        ArrayPool<Symbol>.Shared.Return(rented);
        ArrayPool<long>.Shared.Return(queued);
    }

    // Queues the merge of a symbol with the next, if there is a rule: by rank, then by place.
    private void Propose(Span<Symbol> symbols, int at, ref MinimumHeap queue)
    {
        ref Symbol left = ref symbols[at];
        left.Rule = _rules.TryGetValue(new Pair(left.Id, symbols[left.Next].Id), out Rule rule) ? rule : Rule.None;
        if (left.Rule.Rank >= 0)
            queue.Push(((long)left.Rule.Rank << 32) | (uint)at);
    }

    private void Merge(Span<Symbol> symbols, long candidate, ref MinimumHeap queue)
    {
        // What was queued before its symbol or the next one changed no longer is that symbol's rule: symbols only ever grow.
        int at = (int)candidate;
        ref Symbol left = ref symbols[at];
        if (left.Rule.Rank != candidate >> 32)
            return;

        ref Symbol right = ref symbols[left.Next];
        left.Id = left.Rule.Product;
        left.Next = right.Next;
        right.Rule = Rule.None;
        symbols[left.Next].Previous = at;
        Propose(symbols, at, ref queue);
        if (left.Previous >= 0)
            Propose(symbols, left.Previous, ref queue);
    }

    private readonly record struct Rule(int Rank, int Product)
    {
        public static Rule None => new(-1, -1);
    }

    private readonly record struct Pair(int Left, int Right)
    {
        // Multiplying by a secret keeps a file from being made whose pairs all collide.
        private static readonly ulong Secret = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)) | 1;

        public override int GetHashCode() => (int)((((ulong)(uint)Left << 32 | (uint)Right) * Secret) >> 32);
    }

    // A run of bytes merged so far, at the place of its first byte, in a list of such; and the rule for it and the next.
    private struct Symbol
    {
        public int Id;
        public int Previous;
        public int Next;
        public Rule Rule;
    }
}
