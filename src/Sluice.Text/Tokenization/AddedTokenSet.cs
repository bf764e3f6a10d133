using System.Buffers;

namespace Sluice.Text.Tokenization;

/// <summary>Finds added tokens in text: the leftmost first, and of those that begin there the longest.</summary>
internal sealed class AddedTokenSet
{
    private readonly SearchValues<string> _search;
    private readonly Dictionary<string, AddedToken>.AlternateLookup<ReadOnlySpan<char>> _tokens;
    private readonly int[] _lengths;

    /// <summary>Prepares the search; <paramref name="tokens"/> pairs what to look for with the token it stands for. The first of equals wins.</summary>
    public AddedTokenSet(IEnumerable<(string Pattern, AddedToken Token)> tokens)
    {
        var byPattern = new Dictionary<string, AddedToken>(StringComparer.Ordinal);
        foreach ((string pattern, AddedToken token) in tokens)
            byPattern.TryAdd(pattern, token);

        _tokens = byPattern.GetAlternateLookup<ReadOnlySpan<char>>();
        _search = SearchValues.Create([.. byPattern.Keys], StringComparison.Ordinal);
        _lengths = [.. byPattern.Keys.Select(pattern => pattern.Length).Distinct().OrderDescending()];
    }

    /// <summary>Whether there is nothing to find.</summary>
    public bool IsEmpty => _lengths.Length == 0;

    /// <summary>Finds the next token wholly inside <c>text[from..to]</c>; its place is absolute.</summary>
    public bool TryFind(ReadOnlySpan<char> text, int from, int to, out AddedToken token, out int start, out int end)
    {
        token = null!;
        start = end = 0;
        if (IsEmpty || from >= to)
            return false;

        int at = text[from..to].IndexOfAny(_search);
        if (at < 0)
            return false;

        start = from + at;
        foreach (int length in _lengths)
        {
            if (length <= to - start && _tokens.TryGetValue(text.Slice(start, length), out token!))
            {
                end = start + length;
                return true;
            }
        }

        return false;
    }
}
