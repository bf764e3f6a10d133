using System.Buffers.Text;
using System.Globalization;
using System.Runtime.InteropServices;
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
    private const int MostCollisions = 64;

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
    private static (TiktokenTokenizer? Library, int[] IdOfRank) CreateLibrary(TokenizerDefinition definition)
    {
        string[] spellings = new string[definition.IdCount];
        foreach ((string token, int id) in definition.Vocabulary)
            spellings[id] = token;

        int[] idOfRank = [.. definition.ByteIds, .. definition.Merges.Select(merge => merge.Product)];
        var collisions = new Dictionary<int, int>(idOfRank.Length);
        using var lines = new MemoryStream();
        Span<byte> bytes = stackalloc byte[LongestForLibrary];
        for (int rank = 0; rank < idOfRank.Length; rank++)
        {
            // No part of a short piece is a long token.
            string spelling = idOfRank[rank] < 0 ? "" : spellings[idOfRank[rank]];
            if (spelling.Length is 0 or > LongestForLibrary)
                continue;

            Span<byte> token = bytes[..spelling.Length];
            ByteAlphabet.TryRead(spelling, token);
            if (++CollectionsMarshal.GetValueRefOrAddDefault(collisions, LibraryHash(token), out _) > MostCollisions)
                return (null, []);
            WriteLine(lines, token, rank);
        }

        lines.Position = 0;
        return (TiktokenTokenizer.Create(lines, preTokenizer: null, normalizer: null), idOfRank);
    }

    // The library keeps tokens in a dictionary by this hash, which has no secret in it: a file can be made all of whose tokens
    // collide, and then load and encode in quadratic time. Such a file is left to the table.
    private static int LibraryHash(ReadOnlySpan<byte> token)
    {
        int hash = 17;
        foreach (byte value in token)
            hash = unchecked(hash * 31 + value);
        return hash;
    }

    private static void WriteLine(MemoryStream lines, ReadOnlySpan<byte> token, int rank)
    {
        Span<byte> line = stackalloc byte[64];
        Base64.EncodeToUtf8(token, line, out _, out int length);
        line[length++] = (byte)' ';
        rank.TryFormat(line[length..], out int digits, provider: CultureInfo.InvariantCulture);
        length += digits;
        line[length++] = (byte)'\n';
        lines.Write(line[..length]);
    }
}
