using Sluice.Engine.Text;

namespace Sluice.Server.OpenAI;

/// <summary>Log-probabilities in the shapes of the two endpoints.</summary>
internal static class LogprobShapes
{
    // What the API says for a token that cannot occur: JSON has no infinity.
    private const float Impossible = -9999;

    /// <summary>The shape of chat completions.</summary>
    public static ChatLogprobs ForChat(IReadOnlyList<TextToken> tokens) => new(
        [
            .. tokens.Select(t => new ChatTokenLogprob(
                t.Chosen.Text,
                Finite(t.Chosen.Logprob),
                Bytes(t.Chosen),
                [.. t.Likeliest.Select(l => new ChatTopLogprob(l.Text, Finite(l.Logprob), Bytes(l)))])),
        ]);

    /// <summary>The shape of completions; <paramref name="offset"/> is where the text begins and becomes where it ends.</summary>
    public static CompletionLogprobs ForCompletion(IReadOnlyList<TextToken> tokens, ref int offset)
    {
        var offsets = new int[tokens.Count];
        var likeliest = new Dictionary<string, float>[tokens.Count];
        for (int i = 0; i < tokens.Count; i++)
        {
            offsets[i] = offset;
            foreach (byte b in tokens[i].Chosen.Bytes.Span)
                offset += (b & 0xC0) == 0x80 ? 0 : 1; // a code point for each byte that begins one

            // Parts of characters look alike as text: the likeliest keeps the name.
            likeliest[i] = [];
            foreach (TextLogprob token in tokens[i].Likeliest)
                likeliest[i].TryAdd(token.Text, Finite(token.Logprob));
        }

        return new CompletionLogprobs([.. tokens.Select(t => t.Chosen.Text)], [.. tokens.Select(t => Finite(t.Chosen.Logprob))], likeliest, offsets);
    }

    private static float Finite(float logprob) => Math.Max(logprob, Impossible);

    private static int[] Bytes(TextLogprob token)
    {
        var bytes = new int[token.Bytes.Length];
        for (int i = 0; i < bytes.Length; i++)
            bytes[i] = token.Bytes.Span[i];
        return bytes;
    }
}
