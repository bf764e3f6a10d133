using System.Text;
using Sluice.Engine.Sampling;
using Sluice.Text;

namespace Sluice.Engine.Text;

/// <summary>
/// Says which tokens a text came from. Text lags behind tokens, because characters may be incomplete and stop strings
/// half-matched; each token waits here until the text has come past the last character it has a byte of.
/// </summary>
internal sealed class TokenAttribution
{
    private readonly Tokenizer _tokenizer;
    private readonly Queue<Waiting> _waiting = [];
    private int _decoded;
    private int _emitted;
    private int _carried;

    public TokenAttribution(Tokenizer tokenizer) => _tokenizer = tokenizer;

    /// <summary>Adds a token and the text that the decoder made of it and of bytes left by earlier ones.</summary>
    public void Add(SampledToken token, string piece)
    {
        // A special token is no part of the text.
        if (_tokenizer.IsSpecial(token.Token))
            return;
        int start = _decoded, carried = _carried;
        _decoded += piece.Length;

        // Bytes that are no UTF-8 decode to more bytes than they are; what is carried then starts anew.
        _carried = Math.Max(0, carried + _tokenizer.TokenBytes(token.Token).Length - Encoding.UTF8.GetByteCount(piece));
        _waiting.Enqueue(new Waiting(token, piece, start, _carried > 0 ? _decoded + 1 : _decoded, carried));
    }

    /// <summary>The text has grown by <paramref name="characters"/>: adds the tokens that lie in it to <paramref name="tokens"/>.</summary>
    public void Take(int characters, List<TextToken> tokens)
    {
        _emitted += characters;
        while (_waiting.TryPeek(out Waiting next) && next.End <= _emitted)
        {
            _waiting.Dequeue();
            tokens.Add(Describe(next.Token, Bytes(next.Token.Token)));
        }
    }

    /// <summary>The text has ended with its last token: adds all that wait.</summary>
    public void TakeRest(List<TextToken> tokens)
    {
        while (_waiting.TryDequeue(out Waiting next))
            tokens.Add(Describe(next.Token, Bytes(next.Token.Token)));
    }

    /// <summary>A stop string has ended the text: adds the part of a token before it, and drops the tokens it is made of.</summary>
    public void TakeCut(List<TextToken> tokens)
    {
        if (_waiting.TryPeek(out Waiting cut) && cut.Start < _emitted)
        {
            ReadOnlyMemory<byte> bytes = Bytes(cut.Token.Token);
            int kept = Encoding.UTF8.GetByteCount(cut.Piece.AsSpan(0, _emitted - cut.Start)) - cut.Carried;
            tokens.Add(Describe(cut.Token, bytes[..Math.Clamp(kept, 0, bytes.Length)]));
        }

        _waiting.Clear();
    }

    private ReadOnlyMemory<byte> Bytes(int token) => _tokenizer.TokenBytes(token).ToArray();

    private TextToken Describe(SampledToken token, ReadOnlyMemory<byte> bytes) => new(
        new TextLogprob(token.Token, bytes, token.Logprob),
        Array.ConvertAll(token.TopLogprobs ?? [], t => new TextLogprob(t.Token, Bytes(t.Token), t.Logprob)));

    /// <summary>
    /// A token whose piece begins at character <paramref name="Start"/> of the text, with <paramref name="Carried"/> bytes that
    /// earlier tokens left, and whose last byte belongs to the character before <paramref name="End"/>.
    /// </summary>
    private readonly record struct Waiting(SampledToken Token, string Piece, int Start, int End, int Carried);
}
