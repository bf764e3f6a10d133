using Sluice.Checkpoints;
using Sluice.Core;

namespace Sluice.Engine.Sampling;

/// <summary>
/// How the next token is chosen. The steps, in the order they apply, are those of transformers and vLLM: logit bias,
/// repetition penalty (over prompt and output), frequency and presence penalty (over the output), temperature, top-k, top-p,
/// min-p, then the draw. Log-probabilities are those of the model's own logits, before any of it. Every value is checked when it is
/// set; the error names the field as the API does.
/// </summary>
public sealed record SamplingOptions
{
    /// <summary>Most alternatives whose log-probabilities can be asked for at each token.</summary>
    public const int MaxTopLogprobs = 20;

    /// <summary>Most tokens that can have a bias.</summary>
    public const int MaxLogitBias = 1024;

    /// <summary>Always the likeliest token; nothing is drawn.</summary>
    public static SamplingOptions Greedy { get; } = new() { Temperature = 0 };

    /// <summary>What a model's generation_config.json suggests; <c>do_sample: false</c> is greedy.</summary>
    public static SamplingOptions Suggested(GenerationDefaults defaults) => new()
    {
        Temperature = defaults.DoSample == false ? 0 : defaults.Temperature ?? 1,
        TopK = defaults.TopK ?? 0,
        TopP = defaults.TopP ?? 1,
        MinP = defaults.MinP ?? 0,
        RepetitionPenalty = defaults.RepetitionPenalty ?? 1,
        PresencePenalty = defaults.PresencePenalty ?? 0,
        FrequencyPenalty = defaults.FrequencyPenalty ?? 0,
    };

    /// <summary>Logits are divided by this; 0 takes the likeliest token, the lower id on a tie. From 0 to 100, default 1.</summary>
    public float Temperature { get; init => field = Checked(value, 0, 100, "temperature"); } = 1;

    /// <summary>Only this many of the likeliest tokens are kept; 0 keeps all. Default 0.</summary>
    public int TopK { get; init => field = CheckedTopK(value); }

    /// <summary>
    /// Only the fewest likeliest tokens whose probabilities sum to at least this are kept. More than 0, at most 1 (off). Default 1.
    /// </summary>
    public float TopP { get; init => field = CheckedTopP(value); } = 1;

    /// <summary>Only tokens at least this times as likely as the likeliest are kept. From 0 (off) to 1, default 0.</summary>
    public float MinP { get; init => field = Checked(value, 0, 1, "min_p"); }

    /// <summary>Taken from the logit of every token the output has. From -2 to 2, default 0.</summary>
    public float PresencePenalty { get; init => field = Checked(value, -2, 2, "presence_penalty"); }

    /// <summary>Taken from a token's logit for each time the output has it. From -2 to 2, default 0.</summary>
    public float FrequencyPenalty { get; init => field = Checked(value, -2, 2, "frequency_penalty"); }

    /// <summary>
    /// The logit of every token that prompt or output has is divided by this if positive, else multiplied by it. From 0.01 to 100,
    /// default 1 (off).
    /// </summary>
    public float RepetitionPenalty { get; init => field = Checked(value, 0.01f, 100, "repetition_penalty"); } = 1;

    /// <summary>Added to the logits of these token ids, each once; from -100 to 100. Default none.</summary>
    public IReadOnlyList<LogitBias> LogitBias { get; init => field = CheckedBias(value); } = [];

    /// <summary>
    /// Where the request's random numbers start: the same seed, prompt and options give the same tokens, whatever else the engine
    /// runs. Null takes a seed nobody can predict.
    /// </summary>
    public long? Seed { get; init; }

    /// <summary>
    /// Null: no log-probabilities. 0: the chosen token's. More: also those of this many of the likeliest tokens. At most
    /// <see cref="MaxTopLogprobs"/>; default null.
    /// </summary>
    public int? TopLogprobs { get; init => field = CheckedTopLogprobs(value); }

    /// <summary>Whether log-probabilities are reported.</summary>
    public bool WantsLogprobs => TopLogprobs is not null;

    internal bool HasPenalties => RepetitionPenalty != 1 || PresencePenalty != 0 || FrequencyPenalty != 0;

    // Written so that NaN, which fails every comparison, is refused too.
    private static float Checked(float value, float low, float high, string parameter) => value >= low && value <= high
        ? value
        : throw new RequestException($"{parameter} must be from {low:R} to {high:R}, found {value:R}", parameter);

    private static int CheckedTopK(int value) => value >= 0
        ? value
        : throw new RequestException($"top_k must be 0 (off) or more, found {value}", "top_k");

    private static float CheckedTopP(float value) => value is > 0 and <= 1
        ? value
        : throw new RequestException($"top_p must be more than 0 and at most 1, found {value:R}", "top_p");

    private static int? CheckedTopLogprobs(int? value) => value is null or (>= 0 and <= MaxTopLogprobs)
        ? value
        : throw new RequestException($"top_logprobs must be from 0 to {MaxTopLogprobs}, found {value}", "top_logprobs");

    private static IReadOnlyList<LogitBias> CheckedBias(IReadOnlyList<LogitBias> biases)
    {
        if (biases.Count > MaxLogitBias)
            throw new RequestException($"logit_bias has {biases.Count} tokens; at most {MaxLogitBias} are possible", "logit_bias");
        foreach (LogitBias bias in biases)
        {
            if (bias.Token < 0)
                throw new RequestException($"logit_bias has the token id {bias.Token}", "logit_bias");
            _ = Checked(bias.Bias, -100, 100, "logit_bias");
        }

        return biases;
    }
}

/// <summary>A token's bias.</summary>
/// <param name="Token">Token id.</param>
/// <param name="Bias">Added to its logit.</param>
public readonly record struct LogitBias(int Token, float Bias);
