using System.Text;
using Sluice.Constraints.Vocabularies;
using Sluice.Text;

namespace Sluice.Constraints;

/// <summary>
/// What constraints need to know of a tokenizer: the bytes of each ordinary token, the added tokens by their text, and the tokens that end
/// the text. Immutable; any number of threads may use it.
/// </summary>
public sealed class TokenVocabulary
{
    /// <summary>Bytes of the longest short token.</summary>
    internal const int ShortLength = 16;

    private readonly Dictionary<string, int> _added;
    private readonly int[] _endTokens;
    private readonly byte[][] _bytes;
    private readonly bool[] _single = new bool[256];

    /// <summary>Describes a vocabulary.</summary>
    /// <param name="bytes">The bytes of each id; empty for ids that are not in use and for added tokens.</param>
    /// <param name="added">Added tokens: in text they never occur, only where a constraint names them.</param>
    /// <param name="endTokens">The tokens that end the text. At least one.</param>
    public TokenVocabulary(IReadOnlyList<byte[]> bytes, IReadOnlyDictionary<string, int> added, IEnumerable<int> endTokens)
    {
        _bytes = [.. bytes];
        _added = new Dictionary<string, int>(added, StringComparer.Ordinal);
        _endTokens = [.. endTokens.Distinct().Order()];
        if (_endTokens.Length == 0)
            throw new ArgumentException("expected at least one token that ends the text", nameof(endTokens));
        if (_endTokens[0] < 0 || _endTokens[^1] >= _bytes.Length || _added.Values.Any(id => id < 0 || id >= _bytes.Length))
            throw new ArgumentException($"expected ids below {_bytes.Length}", nameof(endTokens));

        // An id that has a role of its own is not text as well.
        var special = new HashSet<int>(_added.Values.Concat(_endTokens));
        var tokens = new List<(byte[] Bytes, int Id)>(_bytes.Length);
        for (int id = 0; id < _bytes.Length; id++)
        {
            if (special.Contains(id))
                _bytes[id] = [];
            if (_bytes[id].Length is 0 or > ushort.MaxValue)
                continue;
            tokens.Add((_bytes[id], id));
            if (_bytes[id].Length == 1)
                _single[_bytes[id][0]] = true;
        }

        ShortTokens = new TokenTrie([.. tokens.Where(token => token.Bytes.Length <= ShortLength)], _bytes.Length);
        LongTokens = new TokenTrie([.. tokens.Where(token => token.Bytes.Length > ShortLength)], _bytes.Length);
    }

    /// <summary>The highest id plus one.</summary>
    public int Size => _bytes.Length;

    /// <summary>Words of a mask with one bit for each id.</summary>
    public int MaskWords => (Size + 63) / 64;

    /// <summary>The tokens that end the text, ascending.</summary>
    public ReadOnlySpan<int> EndTokens => _endTokens;

    /// <summary>The ordinary tokens of at most <see cref="ShortLength"/> bytes: nearly all.</summary>
    internal TokenTrie ShortTokens { get; }

    /// <summary>The other ordinary tokens.</summary>
    internal TokenTrie LongTokens { get; }

    /// <summary>
    /// The bytes that are tokens by themselves, [256]. Automata use no others, so that wherever they are there is a token to go on with.
    /// </summary>
    internal ReadOnlySpan<bool> SingleBytes => _single;

    /// <summary>The added tokens by their text.</summary>
    internal IReadOnlyDictionary<string, int> Added => _added;

    /// <summary>The vocabulary of a tokenizer.</summary>
    /// <param name="tokenizer">The tokenizer of the model.</param>
    /// <param name="endTokens">The tokens that end the text, as the model's configuration names them.</param>
    public static TokenVocabulary Of(Tokenizer tokenizer, IEnumerable<int> endTokens)
    {
        var bytes = new byte[tokenizer.VocabularySize][];
        var added = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int id = 0; id < bytes.Length; id++)
        {
            bytes[id] = [];
            if (!tokenizer.IsAdded(id))
                bytes[id] = tokenizer.TokenBytes(id).ToArray();
            else if (!tokenizer.TokenBytes(id).IsEmpty)
                added.TryAdd(Encoding.UTF8.GetString(tokenizer.TokenBytes(id)), id);
        }

        return new TokenVocabulary(bytes, added, endTokens);
    }

    /// <summary>Whether the id ends the text.</summary>
    public bool IsEnd(int token) => _endTokens.AsSpan().Contains(token);

    /// <summary>The bytes an ordinary token adds to the text; none for other ids.</summary>
    internal ReadOnlySpan<byte> Bytes(int token) => _bytes[token];
}
