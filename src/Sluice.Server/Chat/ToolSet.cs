using System.Text.Json.Nodes;
using Sluice.Constraints.Answers;
using Sluice.Core;

namespace Sluice.Server.Chat;

/// <summary>What a caller says about whether functions are to be called.</summary>
internal enum ToolUse
{
    /// <summary>The model decides.</summary>
    Auto,

    /// <summary>No function; the model does not even hear of them.</summary>
    None,

    /// <summary>At least one, whichever.</summary>
    Required,

    /// <summary>The one named.</summary>
    Named,
}

/// <summary>A function the model may call.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Definition">As templates read it: <c>{"type": "function", "function": {"name", "description", "parameters"}}</c>.</param>
internal sealed record ToolFunction(string Name, JsonObject Definition)
{
    /// <summary>The JSON schema of its arguments, if it has one.</summary>
    public JsonObject? Parameters => Definition["function"]!["parameters"] as JsonObject;

    /// <summary>Builds the definition from its parts.</summary>
    public static ToolFunction Of(string name, string? description, JsonNode? parameters)
    {
        var function = new JsonObject { ["name"] = name };
        if (description is not null)
            function["description"] = description;
        function["parameters"] = parameters ?? new JsonObject { ["type"] = "object", ["properties"] = new JsonObject() };
        return new ToolFunction(name, new JsonObject { ["type"] = "function", ["function"] = function });
    }
}

/// <summary>The functions of a request, and how they may be used.</summary>
internal sealed record ToolSet
{
    /// <summary>Most functions of a request.</summary>
    public const int MaxFunctions = 1024;

    private const int MaxNameLength = 128;

    public static ToolSet Empty { get; } = new();

    public IReadOnlyList<ToolFunction> Functions { get; init; } = [];

    public ToolUse Use { get; init; }

    /// <summary>The function that must be called, where <see cref="Use"/> is <see cref="ToolUse.Named"/>.</summary>
    public string? Name { get; init; }

    /// <summary>Whether one answer may have several calls.</summary>
    public bool Parallel { get; init; } = true;

    /// <summary>Whether the model hears of the functions, and what looks like a call in its answer is one.</summary>
    public bool IsOffered => Functions.Count > 0 && Use != ToolUse.None;

    /// <summary>The functions that an answer may call: the one named, where one is.</summary>
    public IReadOnlyList<CallableFunction> Callable => IsOffered
        ? [.. Functions.Where(f => Use != ToolUse.Named || f.Name == Name).Select(f => new CallableFunction(f.Name, f.Parameters))]
        : [];

    /// <summary>Checks that what is asked for exists; <paramref name="parameter"/> is the API's name for the choice.</summary>
    /// <exception cref="RequestException">A choice needs a function that is not there.</exception>
    public ToolSet Checked(string parameter)
    {
        if (Use == ToolUse.Required && Functions.Count == 0)
            throw new RequestException($"{parameter} demands a call, but there are no tools", parameter);
        if (Use == ToolUse.Named && !Functions.Any(f => f.Name == Name))
            throw new RequestException($"{parameter} names a function that is not among the tools", parameter);
        return this;
    }

    /// <summary>Checks a function's name at <paramref name="path"/> of the body.</summary>
    public static string CheckedName(string name, string path) => name.Length is > 0 and <= MaxNameLength && !name.Any(char.IsControl)
        ? name
        : throw new RequestException($"{path} must have from 1 to {MaxNameLength} characters and no control characters", path);

    /// <summary>The functions as the template's <c>tools</c>; null when it is to hear of none.</summary>
    public JsonArray? ToTemplate() => IsOffered ? new JsonArray([.. Functions.Select(f => f.Definition.DeepClone())]) : null;
}
