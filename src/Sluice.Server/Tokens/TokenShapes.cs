using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Sluice.Server.Tokens;

/// <summary>The answer of <c>/tokenize</c>, in vLLM's shape.</summary>
internal sealed record Tokenized(int Count, int MaxModelLen, IReadOnlyList<int> Tokens)
{
    public IReadOnlyList<string>? TokenStrs { get; init; }
}

/// <summary>The answer of <c>/detokenize</c>, in vLLM's shape.</summary>
internal sealed record Detokenized(string Prompt);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(Tokenized))]
[JsonSerializable(typeof(Detokenized))]
internal sealed partial class TokensJson : JsonSerializerContext
{
    /// <summary>As <see cref="Default"/>, but letters of every script stay as they are.</summary>
    public static TokensJson Readable => field ??= new(new JsonSerializerOptions(Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
