using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Server.Chat;
using Sluice.Server.Http;

namespace Sluice.Server.OpenAI;

/// <summary>A request to <c>/v1/chat/completions</c>, checked.</summary>
internal sealed record ChatRequest(ChatCall Call, bool Stream, bool IncludeUsage)
{
    /// <summary>Reads and checks a request.</summary>
    /// <exception cref="RequestException">A field is invalid, or asks for what is not supported.</exception>
    public static ChatRequest Read(RequestFields fields, ServedModel model)
    {
        RefuseUnsupported(fields);
        var (stream, includeUsage) = SamplingFields.ReadStream(fields);
        var arguments = new TemplateArguments(model.Chat);
        arguments.SetEffort(fields.String("reasoning_effort"), "reasoning_effort");
        arguments.Read(fields);
        var call = new ChatCall
        {
            Messages = ChatMessages.Read(fields),
            Tools = ChatTools.Read(fields, isNested: true),
            Arguments = arguments,
            Sampling = SamplingFields.Read(fields, model.Defaults) with { TopLogprobs = ReadTopLogprobs(fields) },
            MaxTokens = fields.Integer("max_completion_tokens", 1, int.MaxValue) ?? fields.Integer("max_tokens", 1, int.MaxValue),
            Stop = SamplingFields.ReadStop(fields, "stop"),
            Choices = SamplingFields.ReadChoices(fields),
            Format = fields.Object("response_format") is { } format ? AnswerFormat.Read(format, isNested: true) : AnswerFormat.Text,
            CacheKey = SamplingFields.ReadCacheKey(fields),
        };
        return new ChatRequest(call, stream, includeUsage);
    }

    private static void RefuseUnsupported(RequestFields fields)
    {
        foreach (string old in (ReadOnlySpan<string>)["functions", "function_call"])
        {
            if (fields.TryGet(old, out _))
                throw new RequestException($"{old} is not supported: use tools", old, "unsupported_parameter");
        }

        if (fields.Array("modalities", 16) is { } modalities && modalities.EnumerateArray().Any(m => RequestFields.Text(m, "modalities") != "text"))
            throw new RequestException("modalities must be [\"text\"]: the model writes nothing else", "modalities", "unsupported_value");
    }

    private static int? ReadTopLogprobs(RequestFields fields)
    {
        int? top = fields.Integer("top_logprobs", 0, SamplingOptions.MaxTopLogprobs);
        if (fields.Boolean("logprobs") ?? false)
            return top ?? 0;
        return top is null or 0 ? null : throw new RequestException("top_logprobs is possible only with logprobs: true", "top_logprobs");
    }
}
