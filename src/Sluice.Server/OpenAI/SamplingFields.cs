using System.Globalization;
using System.Text.Json;
using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Server.Http;

namespace Sluice.Server.OpenAI;

/// <summary>Reads what both endpoints say about sampling and stopping.</summary>
internal static class SamplingFields
{
    /// <summary>Most answers to one request.</summary>
    public const int MaxChoices = 128;

    private const int MaxCacheKeyLength = 512;
    private const int MaxStops = 16;
    private const int MaxStopLength = 1024;

    /// <summary>Sampling: <paramref name="defaults"/>, each of which the request may override.</summary>
    public static SamplingOptions Read(RequestFields fields, SamplingOptions defaults)
    {
        long? topK = fields.Integer("top_k", -1, int.MaxValue);
        return defaults with
        {
            Temperature = fields.Number("temperature") ?? defaults.Temperature,
            TopK = topK is { } k ? Math.Max(0, (int)k) : defaults.TopK, // -1 is vLLM's way to say all
            TopP = fields.Number("top_p") ?? defaults.TopP,
            MinP = fields.Number("min_p") ?? defaults.MinP,
            PresencePenalty = fields.Number("presence_penalty") ?? defaults.PresencePenalty,
            FrequencyPenalty = fields.Number("frequency_penalty") ?? defaults.FrequencyPenalty,
            RepetitionPenalty = fields.Number("repetition_penalty") ?? defaults.RepetitionPenalty,
            LogitBias = ReadLogitBias(fields) ?? defaults.LogitBias,
            Seed = fields.Integer("seed") ?? defaults.Seed,
        };
    }

    /// <summary><c>stop</c> or its like: a string or a list of strings.</summary>
    public static IReadOnlyList<string> ReadStop(RequestFields fields, string name)
    {
        if (!fields.TryGet(name, out JsonElement stop))
            return [];
        string path = fields.PathOf(name);
        if (stop.ValueKind == JsonValueKind.String)
            return [Stop(stop, path, path)];
        if (stop.ValueKind != JsonValueKind.Array)
            throw RequestFields.Mismatch(path, "a string or an array of strings", stop);
        if (stop.GetArrayLength() > MaxStops)
            throw new RequestException($"{path} has {stop.GetArrayLength()} strings; at most {MaxStops} are possible", path);
        return [.. stop.EnumerateArray().Select((s, i) => Stop(s, $"{path}[{i}]", path))];
    }

    /// <summary><c>n</c>: how many answers.</summary>
    public static int ReadChoices(RequestFields fields) => fields.Integer("n", 1, MaxChoices) ?? 1;

    /// <summary><c>prompt_cache_key</c>.</summary>
    public static string? ReadCacheKey(RequestFields fields)
    {
        const string Name = "prompt_cache_key";
        string? key = fields.String(Name);
        return key is null || key.Length <= MaxCacheKeyLength
            ? key
            : throw new RequestException($"{Name} must have at most {MaxCacheKeyLength} characters, found {key.Length}", Name);
    }

    /// <summary><c>stream</c>, and whether a last event tells the usage.</summary>
    public static (bool Stream, bool IncludeUsage) ReadStream(RequestFields fields)
    {
        bool stream = fields.Boolean("stream") ?? false;
        if (fields.Object("stream_options") is not { } options)
            return (stream, false);
        return stream
            ? (true, options.Boolean("include_usage") ?? false)
            : throw new RequestException("stream_options is possible only with stream: true", "stream_options");
    }

    private static string Stop(JsonElement value, string path, string parameter)
    {
        string stop = RequestFields.Text(value, path);
        return stop.Length is > 0 and <= MaxStopLength
            ? stop
            : throw new RequestException($"{path} must have from 1 to {MaxStopLength} characters, found {stop.Length}", parameter);
    }

    private static List<LogitBias>? ReadLogitBias(RequestFields fields)
    {
        if (!fields.TryGet("logit_bias", out JsonElement map))
            return null;
        if (map.ValueKind != JsonValueKind.Object)
            throw RequestFields.Mismatch("logit_bias", "an object", map);
        var biases = new Dictionary<int, float>();
        foreach (JsonProperty property in map.EnumerateObject())
        {
            if (!int.TryParse(JsonCopy.Name(property, "logit_bias"), NumberStyles.None, CultureInfo.InvariantCulture, out int token))
                throw new RequestException("logit_bias must map token ids to numbers", "logit_bias");
            biases[token] = RequestFields.Number(property.Value, "logit_bias");
            if (biases.Count > SamplingOptions.MaxLogitBias)
                throw new RequestException($"logit_bias has more than {SamplingOptions.MaxLogitBias} tokens", "logit_bias");
        }

        return [.. biases.Select(b => new LogitBias(b.Key, b.Value))];
    }
}
