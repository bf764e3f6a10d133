using System.Text;

namespace Sluice.Engine.Text;

/// <summary>Text that has become certain, and the tokens it came from.</summary>
/// <param name="Text">Whole characters only; may be empty when there are tokens.</param>
/// <param name="Tokens">
/// Log-probabilities of the tokens that end in this text, if they were asked for, else empty. Over a whole generation their bytes
/// together are the text's: tokens that the text leaves out, a stop string's among them, are left out here.
/// </param>
/// <param name="OutputTokens">Tokens generated so far, those of this text among them.</param>
public readonly record struct TextDelta(string Text, IReadOnlyList<TextToken> Tokens, int OutputTokens);

/// <summary>A token of the text and what the model would have said instead.</summary>
/// <param name="Chosen">The token; cut if a stop string begins inside it.</param>
/// <param name="Likeliest">The likeliest tokens at its place, as many as were asked for, likeliest first.</param>
public sealed record TextToken(TextLogprob Chosen, IReadOnlyList<TextLogprob> Likeliest);

/// <summary>A token with its log-probability.</summary>
/// <param name="Token">Token id.</param>
/// <param name="Bytes">The bytes it stands for; maybe part of a character.</param>
/// <param name="Logprob">Natural logarithm of its probability.</param>
public sealed record TextLogprob(int Token, ReadOnlyMemory<byte> Bytes, float Logprob)
{
    /// <summary>The bytes as text; a part of a character shows as U+FFFD.</summary>
    public string Text => Encoding.UTF8.GetString(Bytes.Span);
}

/// <summary>How a text ended.</summary>
/// <param name="Reason">Why: a stop string counts as <see cref="FinishReason.Stop"/>.</param>
/// <param name="Usage">What it took. Output tokens count up to the one that ended the text.</param>
/// <param name="StopString">The stop string that ended it, if one did.</param>
public sealed record TextCompletion(FinishReason Reason, GenerationUsage Usage, string? StopString = null);
