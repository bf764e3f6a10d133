namespace Sluice.Constraints.Vocabularies;

/// <summary>A place in the trie: the bytes on the way to it are a prefix of some token.</summary>
/// <param name="Token">The lowest id that ends here, or -1.</param>
/// <param name="End">The node after all those below this one.</param>
/// <param name="Depth">Bytes on the way, at least 1.</param>
/// <param name="Label">The last of them.</param>
internal readonly record struct TrieNode(int Token, int End, ushort Depth, byte Label);

/// <summary>
/// The tokens of a vocabulary by their bytes, nodes in depth-first order: a walk is a forward scan that jumps to <see cref="TrieNode.End"/>
/// where a prefix is not wanted.
/// </summary>
internal sealed class TokenTrie
{
    private readonly TrieNode[] _nodes;

    // More ids with the bytes of another: the next such id, or -1; empty if there are none.
    private readonly int[] _same;

    /// <summary>Builds the trie of the given tokens; none is empty or longer than 65,535 bytes.</summary>
    public TokenTrie(List<(byte[] Bytes, int Id)> tokens, int idCount)
    {
        tokens.Sort((a, b) => a.Bytes.AsSpan().SequenceCompareTo(b.Bytes) is not 0 and int order ? order : a.Id.CompareTo(b.Id));
        var nodes = new List<TrieNode>(tokens.Count * 2);
        var path = new List<int>();
        byte[] previous = [];
        int previousId = -1;
        _same = [];
        foreach ((byte[] bytes, int id) in tokens)
        {
            int common = bytes.AsSpan().CommonPrefixLength(previous);
            if (common == bytes.Length)
            {
                if (_same.Length == 0)
                {
                    _same = new int[idCount];
                    _same.AsSpan().Fill(-1);
                }

                _same[previousId] = id;
                previousId = id;
                continue;
            }

            Close(common);
            for (int depth = common; depth < bytes.Length; depth++)
            {
                path.Add(nodes.Count);
                nodes.Add(new TrieNode(depth == bytes.Length - 1 ? id : -1, 0, (ushort)(depth + 1), bytes[depth]));
            }

            (previous, previousId) = (bytes, id);
            MaxDepth = Math.Max(MaxDepth, bytes.Length);
        }

        Close(0);
        _nodes = [.. nodes];

        void Close(int depth)
        {
            while (path.Count > depth)
            {
                nodes[path[^1]] = nodes[path[^1]] with { End = nodes.Count };
                path.RemoveAt(path.Count - 1);
            }
        }
    }

    public ReadOnlySpan<TrieNode> Nodes => _nodes;

    /// <summary>Bytes of the longest token.</summary>
    public int MaxDepth { get; }

    /// <summary>The next id with the same bytes, or -1.</summary>
    public int Same(int token) => _same.Length == 0 ? -1 : _same[token];
}
