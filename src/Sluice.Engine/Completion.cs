using Sluice.Core;

namespace Sluice.Engine;

/// <summary>Why a generation ended.</summary>
public enum FinishReason
{
    /// <summary>A stop token (or, for text, a stop string) came.</summary>
    Stop,

    /// <summary>The request's limit of tokens is reached.</summary>
    Length,

    /// <summary>The caller cancelled.</summary>
    Cancelled,

    /// <summary>An error; see <see cref="Completion.Error"/>.</summary>
    Failed,
}

/// <summary>How a generation ended: the one terminal event of every accepted request.</summary>
/// <param name="Reason">Why.</param>
/// <param name="Usage">What it took.</param>
/// <param name="Error">The error if <paramref name="Reason"/> is <see cref="FinishReason.Failed"/>, else null.</param>
public sealed record Completion(FinishReason Reason, GenerationUsage Usage, SluiceException? Error = null);

/// <summary>What a generation took.</summary>
/// <param name="PromptTokens">Tokens of the prompt.</param>
/// <param name="OutputTokens">Tokens generated, a final stop token included.</param>
/// <param name="QueueTime">From submission to the first admission.</param>
/// <param name="PrefillTime">From there to the first token.</param>
/// <param name="DecodeTime">From there to the end.</param>
public sealed record GenerationUsage(
    int PromptTokens, int OutputTokens, TimeSpan QueueTime, TimeSpan PrefillTime, TimeSpan DecodeTime)
{
    /// <summary>What the prefix cache had of the prompt when it was first admitted.</summary>
    public PrefixUse Prefix { get; init; }

    /// <summary>Tokens of the prompt that were not computed.</summary>
    public int CachedTokens => Prefix.CachedTokens;

    /// <summary>Prompt and output.</summary>
    public int TotalTokens => PromptTokens + OutputTokens;
}
