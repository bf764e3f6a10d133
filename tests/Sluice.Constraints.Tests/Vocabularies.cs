using System.Text;
using Sluice.Text;

namespace Sluice.Constraints.Tests;

/// <summary>The vocabularies that tests run on.</summary>
internal static class Vocabularies
{
    private static readonly Lazy<Tokenizer> DemoFile = new(() => Tokenizer.Load(Path.Combine(AppContext.BaseDirectory, "demo")));
    private static readonly Lazy<TokenVocabulary> DemoVocabulary = new(() => TokenVocabulary.Of(DemoFile.Value, [Id("<|im_end|>"), Id("<|endoftext|>")]));
    private static readonly Lazy<TokenVocabulary> LargeVocabulary = new(() => SyntheticVocabulary.Create(150_000, seed: 1));
    private static readonly Lazy<TokenVocabulary> BytesOnly = new(() => SyntheticVocabulary.Create(257 + 3, seed: 1));
    private static readonly Lazy<ConstraintCompiler> DemoCompiler = new(() => new ConstraintCompiler(Demo));
    private static readonly Lazy<ConstraintCompiler> LargeCompiler = new(() => new ConstraintCompiler(Large));
    private static readonly Lazy<ConstraintCompiler> BytesCompiler = new(() => new ConstraintCompiler(Bytes));

    public static Tokenizer Tokenizer => DemoFile.Value;

    /// <summary>The demonstration model's.</summary>
    public static TokenVocabulary Demo => DemoVocabulary.Value;

    /// <summary>150,000 tokens, as large models have.</summary>
    public static TokenVocabulary Large => LargeVocabulary.Value;

    /// <summary>Every byte and nothing else.</summary>
    public static TokenVocabulary Bytes => BytesOnly.Value;

    public static ConstraintCompiler Compiler => DemoCompiler.Value;

    public static ConstraintCompiler ForLarge => LargeCompiler.Value;

    public static ConstraintCompiler ForBytes => BytesCompiler.Value;

    /// <summary>The text of tokens, added ones spelled out.</summary>
    public static string Text(TokenVocabulary vocabulary, IEnumerable<int> tokens)
    {
        var strict = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
        var names = vocabulary.Added.ToDictionary(added => added.Value, added => Encoding.UTF8.GetBytes(added.Key));
        return strict.GetString([.. tokens.SelectMany(token => names.GetValueOrDefault(token) ?? vocabulary.Bytes(token).ToArray())]);
    }

    private static int Id(string token) => Tokenizer.TryGetId(token, out int id) ? id : throw new InvalidOperationException($"no {token}");
}
