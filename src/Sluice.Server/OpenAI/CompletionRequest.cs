using System.Text.Json;
using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Server.Http;
using Sluice.Text;

namespace Sluice.Server.OpenAI;

/// <summary>A request to <c>/v1/completions</c>, checked.</summary>
internal sealed record CompletionRequest
{
    private const int DefaultMaxTokens = 16; // the API's own

    public required IReadOnlyList<int> Prompt { get; init; }

    public required SamplingOptions Sampling { get; init; }

    public required int MaxTokens { get; init; }

    public required IReadOnlyList<string> Stop { get; init; }

    public required bool Stream { get; init; }

    public required bool IncludeUsage { get; init; }

    /// <summary>Reads and checks a request.</summary>
    /// <exception cref="RequestException">A field is invalid, or asks for what is not supported.</exception>
    public static CompletionRequest Read(RequestFields fields, SamplingOptions defaults, Tokenizer tokenizer)
    {
        SamplingFields.RefuseSeveral(fields, "n");
        SamplingFields.RefuseSeveral(fields, "best_of");
        if (fields.Boolean("echo") ?? false)
            throw new RequestException("echo is not supported", "echo", "unsupported_value");
        if (fields.String("suffix") is { Length: > 0 })
            throw new RequestException("suffix is not supported", "suffix", "unsupported_value");
        var (stream, includeUsage) = SamplingFields.ReadStream(fields);
        return new CompletionRequest
        {
            Prompt = ReadPrompt(fields, tokenizer),
            Sampling = SamplingFields.Read(fields, defaults) with { TopLogprobs = fields.Integer("logprobs", 0, SamplingOptions.MaxTopLogprobs) },
            MaxTokens = fields.Integer("max_tokens", 1, int.MaxValue) ?? DefaultMaxTokens,
            Stop = SamplingFields.ReadStop(fields),
            Stream = stream,
            IncludeUsage = includeUsage,
        };
    }

    private static IReadOnlyList<int> ReadPrompt(RequestFields fields, Tokenizer tokenizer)
    {
        if (!fields.TryGet("prompt", out JsonElement prompt))
            throw fields.Missing("prompt");
        if (prompt.ValueKind == JsonValueKind.String)
            return Encode(prompt, tokenizer);
        if (prompt.ValueKind != JsonValueKind.Array)
            throw Unexpected(prompt);
        if (prompt.GetArrayLength() == 0)
            throw new RequestException("the prompt is empty", "prompt");
        JsonElement first = prompt[0];
        if (first.ValueKind == JsonValueKind.Number)
            return ReadIds(prompt);
        if (prompt.GetArrayLength() > 1)
            throw new RequestException($"prompt must be one prompt, found {prompt.GetArrayLength()}", "prompt", "unsupported_value");
        return first.ValueKind switch
        {
            JsonValueKind.String => Encode(first, tokenizer),
            JsonValueKind.Array => ReadIds(first),
            _ => throw Unexpected(first),
        };
    }

    // The caller writes the whole context here, template and all, so special tokens mean what they say.
    private static int[] Encode(JsonElement text, Tokenizer tokenizer) => tokenizer.Encode(RequestFields.Text(text, "prompt"), parseSpecial: true);

    private static int[] ReadIds(JsonElement ids)
    {
        var prompt = new int[ids.GetArrayLength()];
        int index = 0;
        foreach (JsonElement id in ids.EnumerateArray())
            prompt[index++] = (int)RequestFields.Integer(id, "prompt", 0, int.MaxValue);
        return prompt;
    }

    private static RequestException Unexpected(JsonElement found) =>
        RequestFields.Mismatch("prompt", "a string, an array of one string, or an array of token ids", found);
}
