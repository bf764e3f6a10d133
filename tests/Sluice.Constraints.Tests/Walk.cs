using System.Numerics;
using Sluice.Constraints.Vocabularies;

namespace Sluice.Constraints.Tests;

/// <summary>Follows a constraint as a model without an opinion would: any allowed token, until the end.</summary>
internal static class Walk
{
    // Tokens that bring an end nearer, the surest first; what a weary walker looks for.
    private static readonly string[] Closing = ["\"", "}", "]", "1", "0", "n", "u", "l", "t", "r", "e", ",", "</tool_call>", "</think>", "\n"];

    /// <summary>Walks to the end and returns the tokens. Checks on the way that there always is one and that it is accepted.</summary>
    public static List<int> Random(CompiledConstraint constraint, Random random, int patience = 40)
    {
        TokenVocabulary vocabulary = constraint.Vocabulary;
        ConstraintMatcher matcher = constraint.CreateMatcher();
        var mask = new ulong[vocabulary.MaskWords];
        var tokens = new List<int>();
        int tilde = Find(vocabulary, "~");
        int[] closing = [.. Closing.Select(text => Find(vocabulary, text)).Where(id => id >= 0)];
        while (true)
        {
            matcher.FillMask(mask);
            int[] allowed = Ids(mask);
            if (allowed.Length == 0)
                Assert.Fail($"nothing is allowed after {Describe(vocabulary, tokens)}");
            bool canEnd = allowed.Any(vocabulary.IsEnd);
            if (canEnd != matcher.IsComplete || (allowed.All(vocabulary.IsEnd) != matcher.MustEnd))
                Assert.Fail($"the end is allowed: {canEnd}, complete: {matcher.IsComplete}, must end: {matcher.MustEnd} after {Describe(vocabulary, tokens)}");

            int token = allowed[random.Next(allowed.Length)];
            bool inString = Has(mask, tilde) && Has(mask, closing[0]);
            bool weary = tokens.Count > patience || random.Next(3) == 0;
            if (weary && canEnd)
                return tokens;
            int first = Array.FindIndex(closing, inString ? 0 : 1, id => Has(mask, id));
            if (weary && first >= 0)
                token = closing[tokens.Count > patience || random.Next(4) == 0 ? first : Array.FindLastIndex(closing, id => Has(mask, id))];
            else if (weary && Has(mask, closing[0]))
                token = closing[0];
            if (vocabulary.IsEnd(token))
                return tokens;
            if (!matcher.Accept(token))
                Assert.Fail($"token {token} is allowed and not accepted after {Describe(vocabulary, tokens)}");
            tokens.Add(token);
            if (tokens.Count > patience * 4)
                return [.. tokens, .. Finish(matcher, vocabulary)];
        }
    }

    /// <summary>
    /// Bytes that complete the text, each a token: that there are some is half of what a constraint promises. What is open is closed first,
    /// level by level, each in the fewest bytes.
    /// </summary>
    public static List<int> Finish(ConstraintMatcher matcher, TokenVocabulary vocabulary)
    {
        var from = new Dictionary<Matching.ParserState, (Matching.ParserState Before, int Token)>(ReferenceEqualityComparer.Instance);
        var open = new PriorityQueue<(ConstraintMatcher Matcher, int Length), (int Depth, int Length)>();
        open.Enqueue((matcher.Fork(), 0), (0, 0));
        int[] single = [.. Enumerable.Range(0, vocabulary.Size).Where(id => vocabulary.Bytes(id).Length == 1), .. vocabulary.Added.Values.Where(id => !vocabulary.IsEnd(id))];
        while (open.TryDequeue(out var entry, out _))
        {
            ConstraintMatcher next = entry.Matcher;
            if (next.IsComplete)
            {
                var path = new List<int>();
                for (Matching.ParserState at = next.State; !ReferenceEquals(at, matcher.State); at = from[at].Before)
                    path.Insert(0, from[at].Token);
                return path;
            }

            foreach (int token in single)
            {
                ConstraintMatcher fork = next.Fork();
                if (fork.Accept(token) && !ReferenceEquals(fork.State, matcher.State) && from.TryAdd(fork.State, (next.State, token)))
                    open.Enqueue((fork, entry.Length + 1), (Depth(fork.State), entry.Length + 1));
            }
        }

        Assert.Fail("the text cannot be completed");
        return [];
    }

    private static int Depth(Matching.ParserState state)
    {
        int least = state.CanEnd ? 0 : int.MaxValue;
        foreach (Matching.Reading reading in state.Readings)
            least = Math.Min(least, 1 + Depth(reading.Stack));
        return least;
    }

    private static int Depth(Matching.StackNode stack)
    {
        int depth = 0;
        for (; !stack.IsBottom; stack = stack.Below[0])
            depth++;
        return depth;
    }

    /// <summary>Accepts tokens one by one; whether all were and the text is complete. Checks each against the mask.</summary>
    public static bool Accepts(CompiledConstraint constraint, IEnumerable<int> tokens)
    {
        ConstraintMatcher matcher = constraint.CreateMatcher();
        var mask = new ulong[constraint.Vocabulary.MaskWords];
        foreach (int token in tokens)
        {
            matcher.FillMask(mask);
            bool accepted = matcher.Accept(token);
            Assert.Equal(Has(mask, token), accepted);
            if (!accepted)
                return false;
        }

        return matcher.IsComplete;
    }

    /// <summary>The mask says of every token what trying it says.</summary>
    public static void CheckMask(ConstraintMatcher matcher, TokenVocabulary vocabulary)
    {
        var mask = new ulong[vocabulary.MaskWords];
        matcher.FillMask(mask);
        for (int token = 0; token < vocabulary.Size; token++)
        {
            if (Has(mask, token) != matcher.Fork().Accept(token))
                Assert.Fail($"token {token} ({Convert.ToHexString(vocabulary.Bytes(token))}): allowed {Has(mask, token)}");
        }
    }

    /// <summary>Cuts text into tokens at random.</summary>
    public static List<int> Cut(TokenVocabulary vocabulary, byte[] text, Random random)
    {
        var tokens = new List<int>();
        for (int at = 0; at < text.Length;)
        {
            List<int> fitting = [.. Prefixes(vocabulary.ShortTokens, text.AsSpan(at)), .. Prefixes(vocabulary.LongTokens, text.AsSpan(at))];
            int token = fitting[random.Next(fitting.Count)];
            tokens.Add(token);
            at += vocabulary.Bytes(token).Length;
        }

        return tokens;
    }

    /// <summary>The tokens that some text begins with, the shortest first.</summary>
    private static List<int> Prefixes(TokenTrie trie, ReadOnlySpan<byte> text)
    {
        var tokens = new List<int>();
        ReadOnlySpan<TrieNode> nodes = trie.Nodes;
        for (int i = 0, depth = 0; i < nodes.Length && depth < text.Length && nodes[i].Depth == depth + 1;)
        {
            if (nodes[i].Label != text[depth])
            {
                i = nodes[i].End;
                continue;
            }

            depth++;
            if (nodes[i].Token >= 0)
                tokens.Add(nodes[i].Token);
            i++;
        }

        return tokens;
    }

    public static bool Has(ReadOnlySpan<ulong> mask, int token) => (mask[token >> 6] >> (token & 63) & 1) != 0;

    public static int[] Ids(ReadOnlySpan<ulong> mask)
    {
        var ids = new List<int>();
        for (int word = 0; word < mask.Length; word++)
        {
            for (ulong bits = mask[word]; bits != 0; bits &= bits - 1)
                ids.Add((word << 6) + BitOperations.TrailingZeroCount(bits));
        }

        return [.. ids];
    }

    private static int Find(TokenVocabulary vocabulary, string text)
    {
        if (vocabulary.Added.TryGetValue(text, out int id))
            return id;
        for (id = 0; id < vocabulary.Size; id++)
        {
            if (text.Length == 1 && vocabulary.Bytes(id) is [var value] && value == text[0])
                return id;
        }

        return -1;
    }

    private static string Describe(TokenVocabulary vocabulary, List<int> tokens) =>
        System.Text.Encoding.UTF8.GetString([.. tokens.SelectMany(token => vocabulary.Bytes(token).ToArray())]);
}
