using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Server.Chat;
using Sluice.Server.Http;

namespace Sluice.Server.OpenAI;

/// <summary>Reads <c>tools</c>, <c>tool_choice</c> and <c>parallel_tool_calls</c> of chat completions and of responses.</summary>
internal static class ChatTools
{
    /// <summary>Reads them.</summary>
    /// <param name="fields">The request.</param>
    /// <param name="isNested">Whether a function lies in an object <c>function</c>, as in chat completions, or beside its type.</param>
    public static ToolSet Read(RequestFields fields, bool isNested)
    {
        var tools = new ToolSet { Functions = ReadFunctions(fields, isNested), Parallel = fields.Boolean("parallel_tool_calls") ?? true };
        if (!fields.TryGet("tool_choice", out JsonElement choice))
            return tools;
        if (choice.ValueKind == JsonValueKind.Object)
            tools = tools with { Use = ToolUse.Named, Name = ReadName(RequestFields.Of(choice, "tool_choice"), isNested) };
        else
            tools = tools with { Use = ReadUse(RequestFields.Text(choice, "tool_choice")) };
        return tools.Checked("tool_choice");
    }

    private static ToolUse ReadUse(string choice) => choice switch
    {
        "auto" => ToolUse.Auto,
        "none" => ToolUse.None,
        "required" => ToolUse.Required,
        _ => throw new RequestException("tool_choice must be none, auto, required or a function", "tool_choice", "unsupported_value"),
    };

    private static string ReadName(RequestFields choice, bool isNested)
    {
        if (choice.RequiredString("type") != "function")
            throw new RequestException("tool_choice.type must be function", "tool_choice.type", "unsupported_value");
        RequestFields function = isNested ? choice.Object("function") ?? throw choice.Missing("function") : choice;
        return function.RequiredString("name");
    }

    private static List<ToolFunction> ReadFunctions(RequestFields fields, bool isNested)
    {
        var functions = new List<ToolFunction>();
        if (fields.Array("tools", ToolSet.MaxFunctions) is not { } tools)
            return functions;
        foreach (JsonElement tool in tools.EnumerateArray())
        {
            string path = $"tools[{functions.Count}]";
            RequestFields entry = RequestFields.Of(tool, path);
            if (entry.RequiredString("type") != "function")
                throw new RequestException($"{entry.PathOf("type")} must be function: nothing runs here on its own", entry.PathOf("type"), "unsupported_value");
            RequestFields function = isNested ? entry.Object("function") ?? throw entry.Missing("function") : entry;
            string name = ToolSet.CheckedName(function.RequiredString("name"), function.PathOf("name"));
            if (function.TryGet("parameters", out JsonElement parameters))
                _ = RequestFields.Of(parameters, function.PathOf("parameters"));
            functions.Add(isNested
                ? new ToolFunction(name, (JsonObject)JsonCopy.Of(tool, path)!)
                : ToolFunction.Of(name, function.String("description"), Copy(function, "parameters")));
        }

        return functions;
    }

    private static JsonNode? Copy(RequestFields fields, string name) =>
        fields.TryGet(name, out JsonElement value) ? JsonCopy.Of(value, fields.PathOf(name)) : null;
}
