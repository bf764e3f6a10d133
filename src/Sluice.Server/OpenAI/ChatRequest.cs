using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Server.Http;

namespace Sluice.Server.OpenAI;

/// <summary>A request to <c>/v1/chat/completions</c>, checked.</summary>
internal sealed record ChatRequest
{
    private const int MaxTools = 1024;
    private const int MaxTemplateArguments = 32;

    /// <summary>Template variables that are not the caller's to set: those set here, and switches of other programs' render calls.</summary>
    private static readonly HashSet<string> ReservedArguments = new(StringComparer.Ordinal)
    {
        "messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "chat_template", "tokenize", "padding",
        "truncation", "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask", "bos_token", "eos_token", "pad_token",
        "unk_token", "sep_token", "cls_token", "mask_token",
    };

    /// <summary>Variables of the chat template.</summary>
    public required JsonObject Inputs { get; init; }

    public required SamplingOptions Sampling { get; init; }

    public required int? MaxTokens { get; init; }

    public required IReadOnlyList<string> Stop { get; init; }

    public required bool Stream { get; init; }

    public required bool IncludeUsage { get; init; }

    /// <summary>Reads and checks a request.</summary>
    /// <exception cref="RequestException">A field is invalid, or asks for what is not supported.</exception>
    public static ChatRequest Read(RequestFields fields, SamplingOptions defaults)
    {
        RefuseUnsupported(fields);
        var (stream, includeUsage) = SamplingFields.ReadStream(fields);
        var inputs = new JsonObject { ["messages"] = ChatMessages.Read(fields), ["add_generation_prompt"] = true };
        if (ReadTools(fields) is { } tools)
            inputs["tools"] = tools;
        AddTemplateArguments(fields, inputs);
        return new ChatRequest
        {
            Inputs = inputs,
            Sampling = SamplingFields.Read(fields, defaults) with { TopLogprobs = ReadTopLogprobs(fields) },
            MaxTokens = fields.Integer("max_completion_tokens", 1, int.MaxValue) ?? fields.Integer("max_tokens", 1, int.MaxValue),
            Stop = SamplingFields.ReadStop(fields),
            Stream = stream,
            IncludeUsage = includeUsage,
        };
    }

    private static void RefuseUnsupported(RequestFields fields)
    {
        SamplingFields.RefuseSeveral(fields, "n");
        if (fields.Object("response_format") is { } format && format.RequiredString("type") != "text")
            throw new RequestException("response_format must be of type text: constrained output is not supported", "response_format", "unsupported_value");
        foreach (string old in (ReadOnlySpan<string>)["functions", "function_call"])
        {
            if (fields.TryGet(old, out _))
                throw new RequestException($"{old} is not supported: use tools", old, "unsupported_parameter");
        }
    }

    /// <summary>The tools for the template; none when the caller wants none used.</summary>
    private static JsonNode? ReadTools(RequestFields fields)
    {
        bool isNone = false;
        if (fields.TryGet("tool_choice", out JsonElement choice))
        {
            if (choice.ValueKind != JsonValueKind.String || RequestFields.Text(choice, "tool_choice") is not ("none" or "auto"))
                throw new RequestException("tool_choice must be none or auto: forcing a tool call is not supported", "tool_choice", "unsupported_value");
            isNone = choice.ValueEquals("none");
        }

        if (fields.Array("tools", MaxTools) is not { } tools)
            return null;
        int index = 0;
        foreach (JsonElement tool in tools.EnumerateArray())
        {
            RequestFields entry = RequestFields.Of(tool, $"tools[{index++}]");
            if (entry.RequiredString("type") != "function")
                throw new RequestException($"{entry.PathOf("type")} must be function", entry.PathOf("type"), "unsupported_value");
            _ = (entry.Object("function") ?? throw entry.Missing("function")).RequiredString("name");
        }

        return isNone || tools.GetArrayLength() == 0 ? null : JsonCopy.Of(tools, "tools");
    }

    private static void AddTemplateArguments(RequestFields fields, JsonObject inputs)
    {
        const string Name = "chat_template_kwargs";
        if (!fields.TryGet(Name, out JsonElement arguments))
            return;
        if (arguments.ValueKind != JsonValueKind.Object)
            throw RequestFields.Mismatch(Name, "an object", arguments);
        int count = 0;
        foreach (JsonProperty argument in arguments.EnumerateObject())
        {
            string name = JsonCopy.Name(argument, Name);
            bool isName = name.Length is > 0 and <= 64 && name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_') && !char.IsAsciiDigit(name[0]);
            if (!isName || ReservedArguments.Contains(name) || ++count > MaxTemplateArguments)
                throw new RequestException($"{Name} may set at most {MaxTemplateArguments} variables of the template's own", Name);
            if (argument.Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array)
                throw RequestFields.Mismatch($"{Name}.{name}", "a string, number, boolean or null", argument.Value);
            inputs[name] = JsonCopy.Of(argument.Value, $"{Name}.{name}");
        }
    }

    private static int? ReadTopLogprobs(RequestFields fields)
    {
        int? top = fields.Integer("top_logprobs", 0, SamplingOptions.MaxTopLogprobs);
        if (fields.Boolean("logprobs") ?? false)
            return top ?? 0;
        return top is null or 0 ? null : throw new RequestException("top_logprobs is possible only with logprobs: true", "top_logprobs");
    }
}
