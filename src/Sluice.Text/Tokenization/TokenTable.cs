using System.Text;

namespace Sluice.Text.Tokenization;

/// <summary>The bytes every id stands for, in one block of memory; ids that no token has stand for no bytes.</summary>
internal sealed class TokenTable
{
    private readonly byte[] _bytes;

    // Token i is _bytes[_offsets[i] .. _offsets[i + 1]].
    private readonly int[] _offsets;

    /// <summary>Lays out the tokens; <paramref name="idCount"/> is above every id, ids are distinct.</summary>
    public TokenTable(IReadOnlyList<KeyValuePair<string, int>> tokens, int idCount)
    {
        _offsets = new int[idCount + 1];
        foreach ((string token, int id) in tokens)
            _offsets[id + 1] = ByteCount(token);
        for (int id = 0; id < idCount; id++)
            _offsets[id + 1] = checked(_offsets[id] + _offsets[id + 1]);

        _bytes = new byte[_offsets[idCount]];
        foreach ((string token, int id) in tokens)
        {
            Span<byte> bytes = _bytes.AsSpan(_offsets[id], _offsets[id + 1] - _offsets[id]);
            if (!ByteAlphabet.Covers(token))
                Encoding.UTF8.GetBytes(token, bytes);
            else
                ByteAlphabet.TryRead(token, bytes);
        }
    }

    /// <summary>The highest id plus one.</summary>
    public int Count => _offsets.Length - 1;

    /// <summary>The bytes of an id; none when the id is unknown.</summary>
    public ReadOnlySpan<byte> this[int id] =>
        (uint)id < (uint)Count ? _bytes.AsSpan(_offsets[id], _offsets[id + 1] - _offsets[id]) : default;

    // A token with a character that spells no byte decodes to its own UTF-8, as in Hugging Face's ByteLevel decoder.
    private static int ByteCount(string token) => ByteAlphabet.Covers(token) ? token.Length : Encoding.UTF8.GetByteCount(token);
}
