using System.Collections.Concurrent;
using System.Globalization;
using Sluice.Testing;
using Sluice.Text;

namespace Sluice.Server.Tests;

/// <summary>
/// The fake model with the demonstration model's tokenizer and template, scripted to answer with the last user message. Some
/// messages mean something else: <c>#endless</c> never stops, <c>#free</c> leaves it to the hash, <c>#poison N</c> fails after N
/// tokens, <c>#prompt</c> answers with the text of the whole prompt, in which
/// tags of calls are changed, so that the answer has no calls.
/// </summary>
internal static class EchoModel
{
    public const int EndOfText = 4098;
    private const int TurnStart = 4097;
    private static readonly ConcurrentDictionary<string, int[]> Encoded = new();

    public static string Data { get; } = Path.Combine(AppContext.BaseDirectory, "data");

    public static Tokenizer Tokenizer { get; } = Tokenizer.Load(Data);

    public static ChatTemplate Template { get; } = ChatTemplate.Load(Data)!;

    public static FakeModel Create(int pages = 1024, int slots = 32, int maxPositions = 8192) =>
        new(vocabulary: 4224, pages: pages, slots: slots, maxPositions: maxPositions) { Script = Continue, Poison = IsPoisoned };

    private static int? Continue(ReadOnlySpan<int> context)
    {
        if (!TryParse(context, out string message, out string prompt, out int said) || message == "#free" || message.StartsWith("#poison", StringComparison.Ordinal))
            return null;
        int[] answer = Encoded.GetOrAdd(message switch { "#endless" => " tick", "#prompt" => prompt.Replace("tool_call>", "tool-call>", StringComparison.Ordinal), _ => message }, static text => Tokenizer.Encode(text));
        if (message == "#endless")
            return answer[said % answer.Length];
        return said < answer.Length ? answer[said] : EndOfText;
    }

    private static bool IsPoisoned(ReadOnlySpan<int> context) =>
        TryParse(context, out string message, out _, out int said)
        && message.StartsWith("#poison ", StringComparison.Ordinal)
        && said == int.Parse(message.AsSpan(8), CultureInfo.InvariantCulture);

    /// <summary>Takes a rendered chat apart: the last user message, the whole prompt, and how many tokens of the answer there are.</summary>
    private static bool TryParse(ReadOnlySpan<int> context, out string message, out string prompt, out int said)
    {
        (message, prompt, said) = ("", "", 0);
        int assistant = context.LastIndexOf(TurnStart);
        if (assistant < 0)
            return false;
        int header = Tokenizer.Encode("assistant\n").Length;
        said = context.Length - assistant - 1 - header;
        prompt = Tokenizer.Decode(context[..assistant]);
        int user = context[..assistant].LastIndexOf(TurnStart);
        while (user >= 0)
        {
            ReadOnlySpan<int> turn = context[(user + 1)..assistant];
            string text = Tokenizer.Decode(turn[..turn.IndexOf(EndOfText)]);
            if (text.StartsWith("user\n", StringComparison.Ordinal))
            {
                message = text[5..];
                return said >= 0;
            }

            user = context[..user].LastIndexOf(TurnStart);
        }

        return false;
    }
}
