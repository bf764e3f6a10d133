using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;
using Sluice.Constraints;
using Sluice.Constraints.Answers;
using Sluice.Core;

namespace Sluice.Extensions.AI;

/// <summary>Reads what a caller wants an answer to be: its format, and whether it must be a call of a tool.</summary>
internal static class AnswerForm
{
    private const string Format = nameof(ChatOptions.ResponseFormat);
    private const string Mode = nameof(ChatOptions.ToolMode);
    private const string Strict = "strict";

    /// <exception cref="RequestException">A call is demanded of a function that is not there.</exception>
    public static AnswerDemand Read(ChatOptions options, IReadOnlyList<AIFunctionDeclaration> tools)
    {
        var required = options.ToolMode as RequiredChatToolMode;
        CallableFunction[] functions =
        [
            .. tools.Where(tool => required?.RequiredFunctionName is not { } name || tool.Name == name)
                .Select(tool => new CallableFunction(tool.Name, ChatInputs.Node(tool.JsonSchema) as JsonObject)),
        ];
        if (required is not null && functions.Length == 0)
        {
            throw new RequestException(
                required.RequiredFunctionName is { } name ? $"{Mode} demands a call of '{name}', which is not among the tools" : $"{Mode} demands a call, but there are no tools", Mode);
        }

        return new AnswerDemand
        {
            Content = ReadFormat(options),
            Functions = functions,
            MustCall = required is not null,
            SeveralCalls = options.AllowMultipleToolCalls != false,
            CallsField = Mode,
        };
    }

    private static ConstraintSpec? ReadFormat(ChatOptions options) => options.ResponseFormat switch
    {
        ChatResponseFormatJson { Schema: { } schema } => new JsonSchemaSpec(schema.GetRawText()) { Field = Format, ClosedObjects = IsStrict(options) },
        ChatResponseFormatJson => new JsonObjectSpec { Field = Format },
        _ => null,
    };

    // As the clients of OpenAI's API have it.
    private static bool IsStrict(ChatOptions options) => options.AdditionalProperties?.TryGetValue(Strict, out object? strict) == true && strict is true;
}
