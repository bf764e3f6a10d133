using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Server.Chat;
using Sluice.Server.Http;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Anthropic;

/// <summary>A request to <c>/v1/messages</c>, checked.</summary>
internal sealed record MessagesRequest(ChatCall Call, bool Stream)
{
    /// <summary>Reads and checks a request.</summary>
    /// <param name="fields">The body.</param>
    /// <param name="model">The model that is to answer.</param>
    /// <param name="isCount">Whether it only asks for the number of tokens, and need not say how many to answer with.</param>
    /// <exception cref="RequestException">A field is invalid, or asks for what is not supported.</exception>
    public static MessagesRequest Read(RequestFields fields, ServedModel model, bool isCount)
    {
        int? maxTokens = fields.Integer("max_tokens", 1, int.MaxValue);
        if (maxTokens is null && !isCount)
            throw fields.Missing("max_tokens");
        MessageContent content = MessageContent.Read(fields);
        var call = new ChatCall
        {
            Messages = content.Messages,
            CacheMarks = content.Marks,
            Tools = ReadTools(fields),
            Arguments = ReadArguments(fields, model),
            Sampling = SamplingFields.Read(fields, model.Defaults),
            MaxTokens = maxTokens,
            Stop = fields.Array("stop_sequences", int.MaxValue) is null ? [] : SamplingFields.ReadStop(fields, "stop_sequences"),
            Format = ReadFormat(fields),
        };
        return new MessagesRequest(call, fields.Boolean("stream") ?? false);
    }

    // As the API has it, a model does not think unless it is asked to; a budget is a wish, which max_tokens alone limits.
    private static TemplateArguments ReadArguments(RequestFields fields, ServedModel model)
    {
        var arguments = new TemplateArguments(model.Chat);
        bool thinks = false;
        if (fields.Object("thinking") is { } thinking)
        {
            string path = thinking.PathOf("type");
            thinks = thinking.RequiredString("type") switch
            {
                "enabled" or "adaptive" => true,
                "disabled" => false,
                _ => throw new RequestException($"{path} must be enabled, adaptive or disabled", path),
            };
            _ = thinking.Integer("budget_tokens", 1, int.MaxValue);
        }

        if (fields.Object("output_config") is { } config)
            arguments.SetEffort(config.String("effort"), config.PathOf("effort"));
        arguments.SetThinking(thinks);
        arguments.Read(fields);
        return arguments;
    }

    private static AnswerFormat ReadFormat(RequestFields fields)
    {
        RequestFields? format = fields.Object("output_config") is { } config ? config.Object("format") : fields.Object("output_format");
        return format is { } given ? AnswerFormat.Read(given, isNested: false) : AnswerFormat.Text;
    }

    private static ToolSet ReadTools(RequestFields fields)
    {
        var tools = new ToolSet { Functions = ReadFunctions(fields) };
        if (fields.Object("tool_choice") is not { } choice)
            return tools;
        string path = choice.PathOf("type");
        tools = choice.RequiredString("type") switch
        {
            "auto" => tools,
            "none" => tools with { Use = ToolUse.None },
            "any" => tools with { Use = ToolUse.Required },
            "tool" => tools with { Use = ToolUse.Named, Name = choice.RequiredString("name") },
            _ => throw new RequestException($"{path} must be auto, any, tool or none", path),
        };
        return (tools with { Parallel = !(choice.Boolean("disable_parallel_tool_use") ?? false) }).Checked("tool_choice");
    }

    private static List<ToolFunction> ReadFunctions(RequestFields fields)
    {
        var functions = new List<ToolFunction>();
        foreach (JsonElement tool in fields.Array("tools", ToolSet.MaxFunctions)?.EnumerateArray() ?? default)
        {
            RequestFields entry = RequestFields.Of(tool, $"tools[{functions.Count}]");
            if (entry.String("type") is not (null or "custom"))
                throw new RequestException($"{entry.PathOf("type")} must be custom: nothing runs here on its own", entry.PathOf("type"), "unsupported_value");
            if (!entry.TryGet("input_schema", out JsonElement schema))
                throw entry.Missing("input_schema");
            _ = RequestFields.Of(schema, entry.PathOf("input_schema"));
            JsonNode? parameters = JsonCopy.Of(schema, entry.PathOf("input_schema"));
            functions.Add(ToolFunction.Of(ToolSet.CheckedName(entry.RequiredString("name"), entry.PathOf("name")), entry.String("description"), parameters));
        }

        return functions;
    }
}
