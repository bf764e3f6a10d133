using System.Text.RegularExpressions;
using Sluice.Core;

namespace Sluice.Text.Tokenization;

/// <summary>The regular expressions that cut text into pieces. Known patterns are compiled ahead of time; others when loaded.</summary>
internal static partial class SplitPatterns
{
    /// <summary>What the ByteLevel pre-tokenizer splits by when told to use its own expression.</summary>
    public const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>Qwen2 and Qwen3, Qwen3-Next among them.</summary>
    public const string Qwen2 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>Qwen3.5.</summary>
    public const string Qwen35 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>Llama 3 and its many heirs.</summary>
    public const string Llama3 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    // Oniguruma's (?i:'s) also matches U+017F, the long s, which .NET's case table leaves out.
    private const string Contractions = @"(?:'[sS\u017F]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";

    /// <summary>How long one match of a pattern from a file may take.</summary>
    private static readonly TimeSpan MatchTimeout = TimeSpan.FromMilliseconds(500);

    /// <summary>Compiles a pattern as tokenizer.json has it.</summary>
    /// <exception cref="TokenizerException">It uses what .NET reads differently or cannot compile.</exception>
    public static Regex Compile(string pattern) => pattern switch
    {
        Gpt2 => Gpt2Regex(),
        Qwen2 => Qwen2Regex(),
        Qwen35 => Qwen35Regex(),
        Llama3 => Llama3Regex(),
        _ => CompileUnknown(pattern),
    };

    private static Regex CompileUnknown(string pattern)
    {
        string translated = OnigurumaPattern.Translate(pattern);
        try
        {
            return new Regex(translated, RegexOptions.CultureInvariant | RegexOptions.Compiled, MatchTimeout);
        }
        catch (ArgumentException e)
        {
            throw TokenizerErrors.InPattern(pattern, e.Message, e);
        }
    }

    // These four take time linear in the text: no two of their repeats can share a character.
    [GeneratedRegex(Gpt2, RegexOptions.CultureInvariant, Timeout.Infinite)]
    private static partial Regex Gpt2Regex();

    [GeneratedRegex(
        Contractions + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        RegexOptions.CultureInvariant,
        Timeout.Infinite)]
    private static partial Regex Qwen2Regex();

    [GeneratedRegex(
        Contractions + @"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        RegexOptions.CultureInvariant,
        Timeout.Infinite)]
    private static partial Regex Qwen35Regex();

    [GeneratedRegex(
        Contractions + @"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        RegexOptions.CultureInvariant,
        Timeout.Infinite)]
    private static partial Regex Llama3Regex();
}
