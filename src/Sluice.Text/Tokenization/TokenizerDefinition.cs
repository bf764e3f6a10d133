namespace Sluice.Text.Tokenization;

/// <summary>A tokenizer.json, read and checked: ids are distinct, in range, and merges name tokens that exist.</summary>
internal sealed record TokenizerDefinition
{
    /// <summary>The model's vocabulary, tokens spelled in <see cref="ByteAlphabet"/>.</summary>
    public required Dictionary<string, int> Vocabulary { get; init; }

    /// <summary>The id of each byte's token; -1 for the bytes no UTF-8 text contains, where they have none.</summary>
    public required int[] ByteIds { get; init; }

    /// <summary>The merge rules, first to last.</summary>
    public required Merge[] Merges { get; init; }

    /// <summary>Whether a piece that is a token is taken whole before any merging.</summary>
    public required bool IgnoresMerges { get; init; }

    /// <summary>The added tokens in the file's order.</summary>
    public required IReadOnlyList<AddedToken> AddedTokens { get; init; }

    /// <summary>Whether text is brought into normalization form C.</summary>
    public required bool Composes { get; init; }

    /// <summary>The patterns text is split by, each within the pieces of the one before.</summary>
    public required IReadOnlyList<string> SplitPatterns { get; init; }

    /// <summary>Above every id.</summary>
    public required int IdCount { get; init; }
}
