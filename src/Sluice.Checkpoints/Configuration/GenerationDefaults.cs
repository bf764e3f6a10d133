using System.Text.Json;
using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>How the model's makers suggest sampling from it: generation_config.json. Null where the file is silent.</summary>
public sealed record GenerationDefaults
{
    /// <summary>Ids that may end a generation; far more than any model has.</summary>
    private const int MaxEndIds = 1024;

    /// <summary>Nothing suggested: there is no file.</summary>
    public static GenerationDefaults None { get; } = new();

    /// <summary>Whether to sample at all; false means greedy.</summary>
    public bool? DoSample { get; init; }

    /// <summary>Divisor of the logits, 0 or more.</summary>
    public float? Temperature { get; init; }

    /// <summary>Candidates kept, best first; 0 keeps all.</summary>
    public int? TopK { get; init; }

    /// <summary>Probability mass kept, in (0, 1].</summary>
    public float? TopP { get; init; }

    /// <summary>Least probability kept, relative to the best candidate's, in [0, 1].</summary>
    public float? MinP { get; init; }

    /// <summary>Factor against tokens seen before; 1 does nothing.</summary>
    public float? RepetitionPenalty { get; init; }

    /// <summary>Subtracted once from the logit of each token generated before; 0 does nothing.</summary>
    public float? PresencePenalty { get; init; }

    /// <summary>Subtracted from a token's logit for each time it was generated before; 0 does nothing.</summary>
    public float? FrequencyPenalty { get; init; }

    /// <summary>Most tokens to generate.</summary>
    public int? MaxNewTokens { get; init; }

    /// <summary>Token ids that end a generation; empty when the file has none, and config.json's count.</summary>
    public IReadOnlyList<int> EndOfText { get; init; } = [];

    /// <summary>Reads generation_config.json; fields it does not know are ignored, as they are by transformers.</summary>
    /// <exception cref="ConfigurationException">It is not JSON, or a field has an impossible value.</exception>
    public static GenerationDefaults Read(ReadOnlySpan<byte> json)
    {
        var fields = Configuration.JsonFields.Parse(json.ToArray(), "generation_config.json", out JsonDocument document);
        using (document)
        {
            return new GenerationDefaults
            {
                DoSample = fields.Boolean("do_sample"),
                Temperature = Number(fields, "temperature", 0, 1e6),
                TopK = fields.Integer("top_k", 0, int.MaxValue),
                TopP = Number(fields, "top_p", 0, 1),
                MinP = Number(fields, "min_p", 0, 1),
                RepetitionPenalty = Number(fields, "repetition_penalty", 1e-6, 1e6),
                PresencePenalty = Number(fields, "presence_penalty", -1e6, 1e6),
                FrequencyPenalty = Number(fields, "frequency_penalty", -1e6, 1e6),
                MaxNewTokens = fields.Integer("max_new_tokens", 1, int.MaxValue),
                EndOfText = fields.Integers("eos_token_id", 0, int.MaxValue, MaxEndIds),
            };
        }
    }

    private static float? Number(Configuration.JsonFields fields, string name, double minimum, double maximum)
    {
        if (fields.Number(name) is not double value)
            return null;
        if (value < minimum || value > maximum)
            throw fields.Error(name, FormattableString.Invariant($"expected a number from {minimum} to {maximum}, found {value}"));
        return (float)value;
    }
}
