using System.Text;

namespace Sluice.Text;

/// <summary>
/// Turns ids into text as they come, and never gives out part of a character: bytes that may still become one wait for the next id.
/// All that it gives out together is what <see cref="Tokenizer.Decode"/> makes of all ids together. One instance per stream.
/// </summary>
public sealed class StreamingDecoder
{
    private readonly Tokenizer _tokenizer;
    private readonly bool _skipSpecial;
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();

    /// <summary>Starts a stream.</summary>
    /// <param name="tokenizer">The tokenizer whose ids will come.</param>
    /// <param name="skipSpecial">Whether special tokens are left out of the text.</param>
    public StreamingDecoder(Tokenizer tokenizer, bool skipSpecial = true)
    {
        _tokenizer = tokenizer;
        _skipSpecial = skipSpecial;
    }

    /// <summary>Takes the next id; returns the text that is now certain, which may be empty.</summary>
    public string Append(int id) => _skipSpecial && _tokenizer.IsSpecial(id) ? "" : Decode(_tokenizer.TokenBytes(id), flush: false);

    /// <summary>Ends the stream; returns what is left: an incomplete character as U+FFFD, or nothing. A new stream may follow.</summary>
    public string Flush() => Decode([], flush: true);

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        int count = _decoder.GetCharCount(bytes, flush);
        if (count == 0)
        {
            // Not nothing to do: the decoder still has to take the bytes in.
            _decoder.GetChars(bytes, [], flush);
            return "";
        }

        Span<char> chars = count <= 256 ? stackalloc char[256] : new char[count];
        return new string(chars[.._decoder.GetChars(bytes, chars, flush)]);
    }
}
