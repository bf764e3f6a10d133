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

    /// <summary>The prompts; each has <see cref="Choices"/> answers.</summary>
    public required IReadOnlyList<IReadOnlyList<int>> Prompts { get; init; }

    public required SamplingOptions Sampling { get; init; }

    public required int MaxTokens { get; init; }

    public required IReadOnlyList<string> Stop { get; init; }

    public required int Choices { get; init; }

    /// <summary>Whether each answer begins with its prompt.</summary>
    public required bool Echo { get; init; }

    public required string? CacheKey { get; init; }

    public required bool Stream { get; init; }

    public required bool IncludeUsage { get; init; }

    /// <summary>Reads and checks a request.</summary>
    /// <exception cref="RequestException">A field is invalid, or asks for what is not supported.</exception>
    public static CompletionRequest Read(RequestFields fields, SamplingOptions defaults, Tokenizer tokenizer)
    {
        int choices = SamplingFields.ReadChoices(fields);
        if (fields.Integer("best_of", 1, SamplingFields.MaxChoices) is { } best && best != choices)
            throw new RequestException($"best_of must equal n: answers are not compared, found {best} and {choices}", "best_of", "unsupported_value");
        if (fields.String("suffix") is { Length: > 0 })
            throw new RequestException("suffix is not supported: the model writes from left to right", "suffix", "unsupported_value");
        bool echo = fields.Boolean("echo") ?? false;
        int? logprobs = fields.Integer("logprobs", 0, SamplingOptions.MaxTopLogprobs);
        if (echo && logprobs is not null)
            throw new RequestException("echo is not possible with logprobs: the prompt's are not computed", "echo", "unsupported_value");
        var (stream, includeUsage) = SamplingFields.ReadStream(fields);
        IReadOnlyList<IReadOnlyList<int>> prompts = ReadPrompts(fields, tokenizer);
        if (prompts.Count * choices > SamplingFields.MaxChoices)
            throw new RequestException($"prompt has {prompts.Count} prompts with {choices} answers each; at most {SamplingFields.MaxChoices} answers are possible", "prompt");
        return new CompletionRequest
        {
            Prompts = prompts,
            Sampling = SamplingFields.Read(fields, defaults) with { TopLogprobs = logprobs },
            MaxTokens = fields.Integer("max_tokens", 1, int.MaxValue) ?? DefaultMaxTokens,
            Stop = SamplingFields.ReadStop(fields, "stop"),
            Choices = choices,
            Echo = echo,
            CacheKey = SamplingFields.ReadCacheKey(fields),
            Stream = stream,
            IncludeUsage = includeUsage,
        };
    }

    private static IReadOnlyList<IReadOnlyList<int>> ReadPrompts(RequestFields fields, Tokenizer tokenizer)
    {
        if (!fields.TryGet("prompt", out JsonElement prompt))
            throw fields.Missing("prompt");
        if (prompt.ValueKind == JsonValueKind.String)
            return [Encode(prompt, tokenizer)];
        if (prompt.ValueKind != JsonValueKind.Array)
            throw Unexpected(prompt);
        int length = prompt.GetArrayLength();
        if (length == 0)
            throw new RequestException("the prompt is empty", "prompt");
        JsonElement first = prompt[0];
        if (first.ValueKind == JsonValueKind.Number)
            return [ReadIds(prompt)];
        if (first.ValueKind is not (JsonValueKind.String or JsonValueKind.Array))
            throw Unexpected(first);
        if (length > SamplingFields.MaxChoices)
            throw new RequestException($"prompt has {length} prompts; at most {SamplingFields.MaxChoices} are possible", "prompt");
        return
        [
            .. prompt.EnumerateArray().Select(one => one.ValueKind != first.ValueKind ? throw Unexpected(one)
                : one.ValueKind == JsonValueKind.String ? Encode(one, tokenizer) : ReadIds(one)),
        ];
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
        RequestFields.Mismatch("prompt", "a string, an array of strings, an array of token ids, or an array of such arrays", found);
}
