using Sluice.Engine;

namespace Sluice.Server.Chat;

/// <summary>Tokens an answer took, as every API tells it in its own words. The one place that takes them from the engine's figures.</summary>
/// <param name="Prompt">Tokens of the prompt.</param>
/// <param name="Output">Tokens generated, those of thinking among them.</param>
/// <param name="Cached">Of the prompt's, those the prefix cache had.</param>
/// <param name="Reasoning">Of the generated ones, those of thinking.</param>
internal readonly record struct TokenUsage(int Prompt, int Output, int Cached, int Reasoning)
{
    /// <summary>The prompt's tokens up to the last place that was newly kept for who continues there; 0 if none was.</summary>
    public int Kept { get; init; }

    public int Total => Prompt + Output;

    public static TokenUsage Of(GenerationUsage usage, int reasoning) => new(usage.PromptTokens, usage.OutputTokens, usage.CachedTokens, reasoning)
    {
        Kept = usage.Prefix.KeptTokens,
    };

    /// <summary>All answers to a request, <paramref name="perPrompt"/> of them to each prompt, which counts once.</summary>
    public static TokenUsage OfAll(IReadOnlyList<AnswerStream> answers, int perPrompt)
    {
        TokenUsage sum = default;
        for (int i = 0; i < answers.Count; i++)
        {
            TokenUsage usage = answers[i].End.Usage;
            sum = new TokenUsage(
                sum.Prompt + (i % perPrompt == 0 ? usage.Prompt : 0),
                sum.Output + usage.Output,
                sum.Cached + (i % perPrompt == 0 ? usage.Cached : 0),
                sum.Reasoning + usage.Reasoning);
        }

        return sum;
    }
}
