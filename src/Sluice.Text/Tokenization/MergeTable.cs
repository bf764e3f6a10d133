using System.Buffers;

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
        if (bytes.IsEmpty)
            return;

        Symbol[] rented = ArrayPool<Symbol>.Shared.Rent(bytes.Length);
        Span<Symbol> symbols = rented.AsSpan(0, bytes.Length);
        for (int i = 0; i < symbols.Length; i++)
            symbols[i] = new Symbol(_byteIds[bytes[i]], i - 1, i + 1 < symbols.Length ? i + 1 : Symbol.None);

        MergeAll(symbols);
        for (int i = 0; i != Symbol.None; i = symbols[i].Next)
            ids.Add(symbols[i].Id);
        ArrayPool<Symbol>.Shared.Return(rented);
    }

    private void MergeAll(Span<Symbol> symbols)
    {
        var queue = new PriorityQueue<Candidate, long>(symbols.Length);
        for (int i = 0; i + 1 < symbols.Length; i++)
            Propose(symbols, i, queue);

        while (queue.TryDequeue(out Candidate candidate, out _))
        {
            // Symbols only ever grow, so a candidate is current exactly when both of its symbols still are what they were.
            ref Symbol left = ref symbols[candidate.At];
            if (left.Id != candidate.Pair.Left || left.Next == Symbol.None || symbols[left.Next].Id != candidate.Pair.Right)
                continue;

            ref Symbol right = ref symbols[left.Next];
            left.Id = candidate.Product;
            left.Next = right.Next;
            right.Id = Symbol.None;
            if (left.Next != Symbol.None)
            {
                symbols[left.Next].Previous = candidate.At;
                Propose(symbols, candidate.At, queue);
            }

            if (left.Previous != Symbol.None)
                Propose(symbols, left.Previous, queue);
        }
    }

    private void Propose(ReadOnlySpan<Symbol> symbols, int at, PriorityQueue<Candidate, long> queue)
    {
        var pair = new Pair(symbols[at].Id, symbols[symbols[at].Next].Id);
        if (_rules.TryGetValue(pair, out Rule rule))
            queue.Enqueue(new Candidate(at, pair, rule.Product), ((long)rule.Rank << 32) | (uint)at);
    }

    private readonly record struct Rule(int Rank, int Product);

    private readonly record struct Candidate(int At, Pair Pair, int Product);

    private readonly record struct Pair(int Left, int Right)
    {
        // Seeded per process: a file cannot be made whose pairs all collide.
        public override int GetHashCode() => HashCode.Combine(Left, Right);
    }

    // A merged run of bytes, in a doubly linked list whose nodes stay at the run's first byte.
    private record struct Symbol(int Id, int Previous, int Next)
    {
        public const int None = -1;
    }
}
