using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace Sluice.Text.Tokenization;

/// <summary>Encodes one piece of split text: as a whole where it is a token, else by merging its bytes.</summary>
/// <remarks>
/// Merging is left to Microsoft.ML.Tokenizers' <see cref="TiktokenTokenizer"/> where <see cref="MergeOrder.IsByProduct"/> says that it
/// gives what the rules give. It is handed ranks in merge order in place of ids, so the ids' own order does not matter.
/// Its time is quadratic in the piece, as is its <c>BpeTokenizer</c>'s, and a piece may be as long as a user cares to make it;
/// <see cref="MergeTable"/> takes the long ones.
/// </remarks>
internal sealed class PieceEncoder
{
    // In bytes. Beyond this the table is faster than the library, whose cache holds only short pieces.
    private const int LongestForLibrary = 16;

    // In chars; longer pieces are rare and take memory from the heap.
    private const int LongestOnStack = 64;
    private const int BytesPerChar = 3;

    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _vocabulary;
    private readonly bool[] _takenWhole;
    private readonly MergeTable _table;
    private readonly TiktokenTokenizer? _library;
    private readonly int[] _idOfRank = [];

    /// <summary>Prepares encoding by a checked definition.</summary>
    public PieceEncoder(TokenizerDefinition definition)
    {
        _vocabulary = definition.Vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        _table = new MergeTable(definition.Merges, definition.ByteIds);
        _takenWhole = new bool[definition.IdCount];
        if (definition.IgnoresMerges)
            TakeWhole(definition.Vocabulary.Values);

        if (MergeOrder.IsByProduct(definition.Merges, _table, definition.ByteIds, definition.IdCount))
        {
            // Encoding such a token's bytes gives the token, so looking it up gives the same, sooner.
            TakeWhole(definition.ByteIds.Where(id => id >= 0));
            TakeWhole(definition.Merges.Select(merge => merge.Product));
            (_library, _idOfRank) = CreateLibrary(definition);
        }

        // The lookup must not turn a piece of someone's text into a token that only a template can mean.
        foreach (AddedToken token in definition.AddedTokens)
            _takenWhole[token.Id] &= !token.Special;
    }

    /// <summary>Whether the library merges short pieces; otherwise the rule table does.</summary>
    public bool UsesLibrary => _library is not null;

    /// <summary>Appends the ids of a piece of well-formed text.</summary>
    public void Encode(ReadOnlySpan<char> piece, List<int> ids)
    {
        int most = piece.Length <= LongestOnStack ? LongestOnStack * BytesPerChar : Encoding.UTF8.GetMaxByteCount(piece.Length);
        Span<byte> bytes = most <= LongestOnStack * BytesPerChar ? stackalloc byte[LongestOnStack * BytesPerChar] : new byte[most];
        Span<char> spelling = most <= LongestOnStack * BytesPerChar ? stackalloc char[LongestOnStack * BytesPerChar] : new char[most];
        bytes = bytes[..Encoding.UTF8.GetBytes(piece, bytes)];
        if (TryTakeWhole(bytes, spelling, ids))
            return;

        if (_library is null || bytes.Length > LongestForLibrary)
        {
            _table.Encode(bytes, ids);
            return;
        }

        foreach (int rank in _library.EncodeToIds(piece, considerPreTokenization: false, considerNormalization: false))
            ids.Add(_idOfRank[rank]);
    }

    private bool TryTakeWhole(ReadOnlySpan<byte> bytes, Span<char> spelling, List<int> ids)
    {
        ByteAlphabet.Spell(bytes, spelling);
        bool taken = _vocabulary.TryGetValue(spelling[..bytes.Length], out int id) && _takenWhole[id];
        if (taken)
            ids.Add(id);
        return taken;
    }

    private void TakeWhole(IEnumerable<int> ids)
    {
        foreach (int id in ids)
            _takenWhole[id] = true;
    }

    // Ranks: the bytes, which no merge makes, then the merges' products in order. The library reads lines of "base64 rank".
    private static (TiktokenTokenizer Library, int[] IdOfRank) CreateLibrary(TokenizerDefinition definition)
    {
        string[] spellings = new string[definition.IdCount];
        foreach ((string token, int id) in definition.Vocabulary)
            spellings[id] = token;

        int[] idOfRank = [.. definition.ByteIds, .. definition.Merges.Select(merge => merge.Product)];
        using var lines = new MemoryStream();
        for (int rank = 0; rank < idOfRank.Length; rank++)
        {
            if (idOfRank[rank] >= 0)
                WriteLine(lines, spellings[idOfRank[rank]], rank);
        }

        lines.Position = 0;
        return (TiktokenTokenizer.Create(lines, preTokenizer: null, normalizer: null), idOfRank);
    }

    private static void WriteLine(MemoryStream lines, string spelling, int rank)
    {
        Span<byte> bytes = spelling.Length <= 256 ? stackalloc byte[256] : new byte[spelling.Length];
        bytes = bytes[..spelling.Length];
        ByteAlphabet.TryRead(spelling, bytes);

        const int rankDigits = 10;
        int length = Base64.GetMaxEncodedToUtf8Length(bytes.Length);
        Span<byte> line = length <= 512 ? stackalloc byte[512 + rankDigits + 2] : new byte[length + rankDigits + 2];
        Base64.EncodeToUtf8(bytes, line, out _, out int written);
        line[written++] = (byte)' ';
        rank.TryFormat(line[written..], out int digits, provider: CultureInfo.InvariantCulture);
        written += digits;
        line[written++] = (byte)'\n';
        lines.Write(line[..written]);
    }
}
