namespace Sluice.Checkpoints.Gguf;

/// <summary>Metadata keys that are both read and written, other than those of an architecture.</summary>
internal static class GgufKeys
{
    internal const string TokenizerModel = "tokenizer.ggml.model";

    /// <summary>What files without a vocabulary have for <see cref="TokenizerModel"/>.</summary>
    internal const string NoTokenizer = "none";

    internal const string TokenizerPre = "tokenizer.ggml.pre";
    internal const string Tokens = "tokenizer.ggml.tokens";
    internal const string TokenTypes = "tokenizer.ggml.token_type";
    internal const string Merges = "tokenizer.ggml.merges";
    internal const string ChatTemplate = "tokenizer.chat_template";
    internal const string ToolTemplate = "tokenizer.chat_template.tool_use";

    /// <summary>Key and template variable of each special token.</summary>
    internal static readonly (string Key, string Name)[] SpecialTokens =
    [
        ("tokenizer.ggml.bos_token_id", "bos_token"),
        ("tokenizer.ggml.eos_token_id", "eos_token"),
        ("tokenizer.ggml.padding_token_id", "pad_token"),
        ("tokenizer.ggml.unknown_token_id", "unk_token"),
    ];

    internal const string Temperature = "general.sampling.temp";
    internal const string TopK = "general.sampling.top_k";
    internal const string TopP = "general.sampling.top_p";
    internal const string MinP = "general.sampling.min_p";
    internal const string RepetitionPenalty = "general.sampling.penalty_repeat";
}
