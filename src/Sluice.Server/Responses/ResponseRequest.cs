using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Server.Chat;
using Sluice.Server.Http;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Responses;

/// <summary>A request to <c>/v1/responses</c>, checked; its call has yet to get what earlier responses said.</summary>
internal sealed record ResponseRequest
{
    private const int MaxMetadata = 16; // the API's own

    public required ChatCall Call { get; init; }

    public required ResponseInput Input { get; init; }

    /// <summary>The system message of this response alone: earlier responses' own do not count any more.</summary>
    public required string? Instructions { get; init; }

    public required string? PreviousId { get; init; }

    public required bool Store { get; init; }

    public required bool Stream { get; init; }

    /// <summary>The response as it begins, with all it repeats of the request.</summary>
    public required Response Begin { get; init; }

    /// <summary>Reads and checks a request.</summary>
    /// <exception cref="RequestException">A field is invalid, or asks for what is not supported.</exception>
    public static ResponseRequest Read(RequestFields fields, ServedModel model, DateTimeOffset now)
    {
        RefuseUnsupported(fields);
        RequestFields? text = fields.Object("text"), reasoning = fields.Object("reasoning");
        var arguments = new TemplateArguments(model.Chat);
        if (reasoning is { } r)
            arguments.SetEffort(r.String("effort"), r.PathOf("effort"));
        arguments.Read(fields);
        ResponseInput input = ResponseInput.Read(fields);
        ToolSet tools = ChatTools.Read(fields, isNested: false);
        SamplingOptions sampling = SamplingFields.Read(fields, model.Defaults) with { TopLogprobs = ReadTopLogprobs(fields) };
        var request = new ResponseRequest
        {
            Input = input,
            Instructions = fields.String("instructions"),
            PreviousId = fields.String("previous_response_id"),
            Store = fields.Boolean("store") ?? true,
            Stream = fields.Boolean("stream") ?? false,
            Call = new ChatCall
            {
                Messages = input.Messages,
                Tools = tools,
                Arguments = arguments,
                Sampling = sampling,
                MaxTokens = fields.Integer("max_output_tokens", 1, int.MaxValue),
                Format = text?.Object("format") is { } format ? AnswerFormat.Read(format, isNested: false) : AnswerFormat.Text,
                CacheKey = SamplingFields.ReadCacheKey(fields),
            },
            Begin = new Response(ResponseIds.Response(), now.ToUnixTimeSeconds(), "in_progress", model.Id),
        };
        return request with { Begin = request.Repeat(fields) };
    }

    private Response Repeat(RequestFields fields) => Begin with
    {
        Instructions = Instructions,
        MaxOutputTokens = Call.MaxTokens,
        ParallelToolCalls = Call.Tools.Parallel,
        PreviousResponseId = PreviousId,
        PromptCacheKey = Call.CacheKey,
        Reasoning = Copy(fields, "reasoning") ?? new JsonObject { ["effort"] = null, ["summary"] = null },
        Store = Store,
        Temperature = Call.Sampling.Temperature,
        Text = Copy(fields, "text") ?? new JsonObject { ["format"] = new JsonObject { ["type"] = "text" } },
        ToolChoice = Copy(fields, "tool_choice") ?? JsonValue.Create("auto"),
        Tools = Copy(fields, "tools") ?? new JsonArray(),
        TopLogprobs = Call.Sampling.TopLogprobs ?? 0,
        TopP = Call.Sampling.TopP,
        Metadata = Copy(fields, "metadata") ?? new JsonObject(),
    };

    private static JsonNode? Copy(RequestFields fields, string name) =>
        fields.TryGet(name, out JsonElement value) ? JsonCopy.Of(value, fields.PathOf(name)) : null;

    private static void RefuseUnsupported(RequestFields fields)
    {
        if (fields.Boolean("background") ?? false)
            throw new RequestException("background is not supported: stream instead", "background", "unsupported_value");
        foreach (string name in (ReadOnlySpan<string>)["conversation", "prompt"])
        {
            if (fields.TryGet(name, out _))
                throw new RequestException($"{name} is not supported: send input, and previous_response_id to go on", name, "unsupported_parameter");
        }

        if (fields.String("truncation") is not (null or "disabled"))
            throw new RequestException("truncation must be disabled: nothing is left out of a conversation unasked", "truncation", "unsupported_value");
        if (fields.Object("metadata") is not null && fields.TryGet("metadata", out JsonElement metadata) && metadata.EnumerateObject().Count() > MaxMetadata)
            throw new RequestException($"metadata may have at most {MaxMetadata} entries", "metadata");
    }

    private static int? ReadTopLogprobs(RequestFields fields)
    {
        int? top = fields.Integer("top_logprobs", 0, SamplingOptions.MaxTopLogprobs);
        bool wants = false;
        int index = 0;
        foreach (JsonElement include in fields.Array("include", 64)?.EnumerateArray() ?? default)
            wants |= RequestFields.Text(include, $"include[{index++}]") == "message.output_text.logprobs";
        return wants ? top ?? 0 : top is > 0 ? top : null;
    }
}
