using System.Diagnostics.CodeAnalysis;

namespace Sluice.Text.Output;

/// <summary>
/// The literal text around a call, as the template shows it to the model and the parser reads it: what a grammar that forces calls is
/// made of. A call is <see cref="BeforeName"/>, the name, <see cref="AfterName"/>, the arguments, <see cref="End"/>. The arguments are
/// one JSON object; or, where <see cref="Parameters"/> is given, each parameter as that says, one after the other.
/// </summary>
/// <param name="Trigger">The first of <paramref name="BeforeName"/>: where a model begins it, it has begun a call.</param>
/// <param name="BeforeName">From the beginning of a call to its name.</param>
/// <param name="AfterName">From the name to the arguments.</param>
/// <param name="End">From the arguments to the end of the call.</param>
/// <param name="Separator">Between two calls.</param>
/// <param name="Parameters">How each parameter is written; null: as JSON.</param>
public sealed record ToolCallSyntax(
    string Trigger, string BeforeName, string AfterName, string End, string Separator, ToolParameterSyntax? Parameters)
{
    private static readonly ToolCallSyntax Json = new(
        Tags.ToolCall, Tags.ToolCall + "\n{\"name\": \"", "\", \"arguments\": ", "}\n" + Tags.ToolCallEnd, "\n", Parameters: null);

    private static readonly ToolCallSyntax Xml = new(
        Tags.ToolCall,
        Tags.ToolCall + "\n" + Tags.Function,
        ">\n",
        Tags.FunctionEnd + "\n" + Tags.ToolCallEnd,
        "\n",
        new ToolParameterSyntax(Tags.Parameter, ">\n", "\n" + Tags.ParameterEnd + "\n"));

    /// <summary>What comes after the reasoning and before a call or the answer.</summary>
    public static string AfterReasoning => Tags.ThinkEnd + "\n\n";

    /// <summary>The syntax of <paramref name="style"/>.</summary>
    /// <returns>Whether there is one: <see cref="ToolCallStyle.None"/> has no calls.</returns>
    public static bool TryGet(ToolCallStyle style, [NotNullWhen(true)] out ToolCallSyntax? syntax)
    {
        syntax = style switch
        {
            ToolCallStyle.Json => Json,
            ToolCallStyle.Xml => Xml,
            _ => null,
        };
        return syntax is not null;
    }
}

/// <summary>The literal text around a parameter: <paramref name="BeforeKey"/>, the key, <paramref name="AfterKey"/>, the value, <paramref name="End"/>.</summary>
/// <param name="BeforeKey">From the beginning to the key.</param>
/// <param name="AfterKey">From the key to the value: a string as it is, anything else as JSON.</param>
/// <param name="End">From the value to the end.</param>
public sealed record ToolParameterSyntax(string BeforeKey, string AfterKey, string End);
