namespace Sluice.Checkpoints.Configuration;

/// <summary>Writes generation_config.json, so that <see cref="GenerationDefaults.Read"/> gives the same suggestions back.</summary>
internal static class GenerationDefaultsWriter
{
    /// <summary>The bytes of generation_config.json; null when nothing is suggested.</summary>
    /// <param name="defaults">The suggestions.</param>
    /// <param name="endOfText">Ids that end a generation where <paramref name="defaults"/> has none: transformers takes them from this file if there is one.</param>
    internal static byte[]? Write(GenerationDefaults defaults, IReadOnlyList<int> endOfText)
    {
        (string Name, float? Value)[] numbers =
        [
            ("temperature", defaults.Temperature is 0 ? null : defaults.Temperature), ("top_p", defaults.TopP), ("min_p", defaults.MinP),
            ("repetition_penalty", defaults.RepetitionPenalty), ("presence_penalty", defaults.PresencePenalty),
            ("frequency_penalty", defaults.FrequencyPenalty),
        ];
        (string Name, int? Value)[] counts = [("top_k", defaults.TopK), ("max_new_tokens", defaults.MaxNewTokens)];
        IReadOnlyList<int> ends = defaults.EndOfText.Count > 0 ? defaults.EndOfText : endOfText;
        bool? samples = defaults.Temperature is 0 ? false : defaults.DoSample;
        if (samples is null && defaults.EndOfText.Count == 0 && Array.TrueForAll(numbers, number => number.Value is null) && Array.TrueForAll(counts, count => count.Value is null))
            return null;

        return JsonFile.Write(json =>
        {
            if (samples is { } sample)
                json.WriteBoolean("do_sample", sample);
            foreach ((string name, float? value) in numbers)
            {
                if (value is { } number)
                    json.WriteNumber(name, number);
            }

            foreach ((string name, int? value) in counts)
            {
                if (value is { } count)
                    json.WriteNumber(name, count);
            }

            if (ends.Count > 0)
            {
                json.WriteStartArray("eos_token_id");
                foreach (int id in ends)
                    json.WriteNumberValue(id);
                json.WriteEndArray();
            }
        });
    }
}
