using System.Globalization;
using System.Text;
using Sluice.Core;

namespace Sluice.Text.Tokenization;

/// <summary>Words errors so that what a file contains cannot break the one line they take.</summary>
internal static class TokenizerErrors
{
    private const int MaxQuoted = 60;

    /// <summary>A problem in tokenizer.json; <paramref name="where"/> is the path to it, <c>model.vocab</c>.</summary>
    public static TokenizerException At(string where, string problem, Exception? inner = null) =>
        new($"tokenizer.json: {where}: {problem}", inner);

    /// <summary>A split pattern that cannot be run as its author meant it.</summary>
    public static TokenizerException InPattern(string pattern, int at, string problem) =>
        new($"tokenizer.json: split pattern {Quote(pattern)}, character {at}: {problem}");

    /// <summary>Text from the file in quotes, shortened, control characters escaped.</summary>
    public static string Quote(ReadOnlySpan<char> text)
    {
        var quoted = new StringBuilder("\"");
        foreach (char c in text[..Math.Min(text.Length, MaxQuoted)])
        {
            if (char.IsControl(c) || char.IsSurrogate(c) || c is '\u2028' or '\u2029')
                quoted.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:X4}");
            else
                quoted.Append(c);
        }

        return quoted.Append(text.Length > MaxQuoted ? "\"..." : "\"").ToString();
    }
}
