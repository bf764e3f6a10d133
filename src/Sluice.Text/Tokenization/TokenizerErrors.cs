using System.Globalization;
using System.Text;
using Sluice.Core;

namespace Sluice.Text.Tokenization;

/// <summary>Words errors so that what a file contains cannot break the one line they take.</summary>
internal static class TokenizerErrors
{
    private const int MaxQuoted = 60;

    /// <summary>A problem in tokenizer.json; <paramref name="where"/> is the path to it, <c>model.vocab</c>.</summary>
    public static TokenizerException At(string where, string problem) => new($"tokenizer.json: {where}: {problem}");

    /// <summary>A problem in the metadata of a GGUF file; <paramref name="where"/> is the key.</summary>
    public static TokenizerException InGguf(string where, string problem) => new($"{where}: {problem}");

    /// <summary>Text that is no JSON, or JSON whose strings are no Unicode.</summary>
    public static TokenizerException InJson(Exception inner) => new($"tokenizer.json: {OnOneLine(inner.Message)}", inner);

    /// <summary>A split pattern that cannot be run as its author meant it.</summary>
    public static TokenizerException InPattern(string pattern, string problem, Exception? inner = null) =>
        new($"tokenizer.json: split pattern {Quote(pattern)}: {OnOneLine(problem)}", inner);

    /// <summary>Text from the file in quotes, shortened, on one line.</summary>
    public static string Quote(ReadOnlySpan<char> text) =>
        text.Length <= MaxQuoted ? $"\"{OnOneLine(text)}\"" : $"\"{OnOneLine(text[..MaxQuoted])}\"...";

    private static string OnOneLine(ReadOnlySpan<char> text)
    {
        var line = new StringBuilder(text.Length);
        foreach (char c in text)
        {
            if (char.IsControl(c) || char.IsSurrogate(c) || c is '\u2028' or '\u2029')
                line.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:X4}");
            else
                line.Append(c);
        }

        return line.ToString();
    }
}
