using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Server.Chat;
using Sluice.Server.Http;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Ollama;

/// <summary>A request to <c>/api/chat</c> or <c>/api/generate</c>, checked.</summary>
/// <param name="Call">What to answer; null where there is nothing to answer and the model is only to be loaded, as it is.</param>
/// <param name="Raw">The prompt as the caller wrote it, template and all; null where there is a conversation.</param>
/// <param name="Stream">Whether the answer comes line by line, which is this API's default.</param>
internal sealed record OllamaRequest(ChatCall? Call, string? Raw, bool Stream)
{
    /// <summary>Reads and checks a request to <c>/api/chat</c>.</summary>
    /// <exception cref="RequestException">A field is invalid, or asks for what is not supported.</exception>
    public static OllamaRequest ReadChat(RequestFields fields, ServedModel model)
    {
        JsonArray messages = OllamaMessages.Read(fields);
        ChatCall call = ReadCall(fields, model, messages) with { Tools = OllamaMessages.ReadTools(fields) };
        return new OllamaRequest(messages.Count > 0 ? call : null, null, fields.Boolean("stream") ?? true);
    }

    /// <summary>Reads and checks a request to <c>/api/generate</c>.</summary>
    /// <exception cref="RequestException">A field is invalid, or asks for what is not supported.</exception>
    public static OllamaRequest ReadGenerate(RequestFields fields, ServedModel model)
    {
        OllamaMessages.RefuseImages(fields);
        foreach (string name in (ReadOnlySpan<string>)["suffix", "template"])
        {
            if (fields.String(name) is { Length: > 0 })
                throw new RequestException($"{name} is not supported", name, "unsupported_value");
        }

        if (fields.Array("context", int.MaxValue) is { } context && context.GetArrayLength() > 0)
            throw new RequestException("context is not supported: send the conversation to /api/chat", "context", "unsupported_value");
        string prompt = fields.String("prompt") ?? "";
        var messages = new JsonArray();
        if (fields.String("system") is { Length: > 0 } system)
            messages.Add((JsonNode)new JsonObject { ["role"] = "system", ["content"] = system });
        messages.Add((JsonNode)new JsonObject { ["role"] = "user", ["content"] = prompt });
        ChatCall call = ReadCall(fields, model, messages);
        bool isRaw = fields.Boolean("raw") ?? false;
        return new OllamaRequest(prompt.Length > 0 ? call : null, isRaw ? prompt : null, fields.Boolean("stream") ?? true);
    }

    private static ChatCall ReadCall(RequestFields fields, ServedModel model, JsonArray messages)
    {
        var arguments = new TemplateArguments(model.Chat);
        ReadThink(fields, arguments);
        RequestFields? options = fields.Object("options");
        int? predict = options?.Integer("num_predict", -2, int.MaxValue);
        return new ChatCall
        {
            Messages = messages,
            Arguments = arguments,
            Sampling = options is { } given ? ReadSampling(given, model.Defaults) : model.Defaults,
            MaxTokens = predict is > 0 ? predict : null, // -1 and -2 are this API's ways to say as many as there is room for
            Stop = options is { } o ? SamplingFields.ReadStop(o, "stop") : [],
            Format = ReadFormat(fields),
        };
    }

    // A switch, or for some models an effort.
    private static void ReadThink(RequestFields fields, TemplateArguments arguments)
    {
        if (!fields.TryGet("think", out JsonElement think))
            return;
        if (think.ValueKind == JsonValueKind.String)
            arguments.SetEffort(RequestFields.Text(think, "think"), "think");
        else
            arguments.SetThinking(fields.Boolean("think"));
    }

    private static SamplingOptions ReadSampling(RequestFields options, SamplingOptions defaults)
    {
        SamplingOptions sampling = SamplingFields.Read(options, defaults);
        return sampling with { RepetitionPenalty = options.Number("repeat_penalty") ?? sampling.RepetitionPenalty };
    }

    // "json", or a schema itself.
    private static AnswerFormat ReadFormat(RequestFields fields)
    {
        if (!fields.TryGet("format", out JsonElement format))
            return AnswerFormat.Text;
        if (format.ValueKind == JsonValueKind.Object)
            return AnswerFormat.OfSchema(format, "format");
        return RequestFields.Text(format, "format") switch
        {
            "" => AnswerFormat.Text,
            "json" => new AnswerFormat(AnswerForm.JsonObject, null, "format"),
            _ => throw new RequestException("format must be json or a JSON schema", "format"),
        };
    }
}
