using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Text.Output;

namespace Sluice.Constraints.Answers;

/// <summary>
/// What an answer to a chat must look like so that it is the JSON or the call that was asked for, in the model's own way of writing. Thinking
/// before it is free, where the model thinks.
/// </summary>
public static class AnswerConstraint
{
    private const string ThinkBegin = "<think>";
    private const string ThinkEnd = "</think>";
    private const string Layout = "\n\n";

    /// <summary>The constraint of an answer; null where anything goes.</summary>
    /// <param name="demand">What is asked for.</param>
    /// <param name="output">How the model writes.</param>
    /// <param name="startsInReasoning">Whether the prompt has begun the thinking.</param>
    /// <exception cref="RequestException">The model has no form of calls that could be demanded.</exception>
    public static ConstraintSpec? Of(AnswerDemand demand, OutputFormat output, bool startsInReasoning)
    {
        ArgumentNullException.ThrowIfNull(demand);
        ArgumentNullException.ThrowIfNull(output);
        if (!demand.MustCall && demand.Content is null)
            return null;
        ConstraintSpec answer = demand.MustCall ? CallsOf(demand, output)
            : demand.Functions.Count > 0 && output.ToolCalls != ToolCallStyle.None ? new AlternativesSpec(demand.Content!, CallsOf(demand, output))
            : demand.Content!;
        return WithReasoning(answer, output, startsInReasoning) with { Field = demand.MustCall ? demand.CallsField : demand.Content!.Field };
    }

    private static ConstraintSpec WithReasoning(ConstraintSpec answer, OutputFormat output, bool startsInReasoning)
    {
        if (output.Reasoning == ReasoningStyle.None)
            return answer;
        SequenceSpec afterThinking = new(new FreeTextSpec(ThinkEnd), new LiteralSpec(Layout), answer);
        return startsInReasoning ? afterThinking : new AlternativesSpec(answer, new SequenceSpec(new LiteralSpec(ThinkBegin), afterThinking));
    }

    /// <summary>One call or, unless calls come one at a time, several: of whichever function.</summary>
    private static ConstraintSpec CallsOf(AnswerDemand demand, OutputFormat output)
    {
        if (!ToolCallSyntax.TryGet(output.ToolCalls, out ToolCallSyntax? syntax))
            throw new RequestException($"{demand.CallsField} must be none or auto: this model has no form of calls that could be demanded", demand.CallsField, "unsupported_value");
        ConstraintSpec[] calls = [.. demand.Functions.Select(f => CallOf(f, syntax))];
        ConstraintSpec one = calls.Length == 1 ? calls[0] : new AlternativesSpec(calls);
        return demand.SeveralCalls ? new SequenceSpec(one, new RepeatSpec(new SequenceSpec(new LiteralSpec(syntax.Separator), one), 0, null)) : one;
    }

    private static SequenceSpec CallOf(CallableFunction function, ToolCallSyntax syntax)
    {
        JsonObject parameters = function.Parameters ?? new JsonObject { ["type"] = "object", ["properties"] = new JsonObject() };
        ConstraintSpec arguments = syntax.Parameters is { } form
            ? ParametersOf(function, parameters, form)
            : new JsonSchemaSpec(parameters.ToJsonString()) { Field = FieldOf(function), ClosedObjects = true };
        return new SequenceSpec(new LiteralSpec(syntax.BeforeName + function.Name + syntax.AfterName), arguments, new LiteralSpec(syntax.End));
    }

    /// <summary>Parameters in tags of their own, in the schema's order: those it requires, and those it allows.</summary>
    private static SequenceSpec ParametersOf(CallableFunction function, JsonObject schema, ToolParameterSyntax syntax)
    {
        HashSet<string> required = [.. (schema["required"] as JsonArray)?.OfType<JsonValue>().Select(v => v.TryGetValue(out string? name) ? name : "") ?? []];
        var parts = new List<ConstraintSpec>();
        foreach ((string name, JsonNode? property) in schema["properties"] as JsonObject ?? [])
        {
            var parameter = new SequenceSpec([new LiteralSpec(syntax.BeforeKey + name + syntax.AfterKey), .. ValueOf(function, schema, property, syntax)]);
            parts.Add(required.Contains(name) ? parameter : new RepeatSpec(parameter, 0, 1));
        }

        return new SequenceSpec(parts);
    }

    // A string stands as it is, up to the end tag; anything else is JSON, with the definitions its schema may refer to.
    private static ConstraintSpec[] ValueOf(CallableFunction function, JsonObject schema, JsonNode? property, ToolParameterSyntax syntax)
    {
        if (property is not JsonObject described || (described["type"] is JsonValue type && type.TryGetValue(out string? name) && name == "string" && !described.ContainsKey("enum")))
            return [new FreeTextSpec(syntax.End)];
        if (described["enum"] is JsonArray choices && choices.All(c => c is JsonValue v && v.TryGetValue(out string? _)))
            return [new ChoiceSpec([.. choices.Select(c => (string)c!)]) { Field = FieldOf(function) }, new LiteralSpec(syntax.End)];
        var value = (JsonObject)described.DeepClone();
        foreach (string definitions in (ReadOnlySpan<string>)["$defs", "definitions"])
        {
            if (schema[definitions] is { } shared && !value.ContainsKey(definitions))
                value[definitions] = shared.DeepClone();
        }

        return [new JsonSchemaSpec(value.ToJsonString()) { Field = FieldOf(function), ClosedObjects = true }, new LiteralSpec(syntax.End)];
    }

    private static string FieldOf(CallableFunction function) => $"tools: {function.Name}";
}
