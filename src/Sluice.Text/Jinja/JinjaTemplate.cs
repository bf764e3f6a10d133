using System.Text;
using System.Text.Json.Nodes;
using Sluice.Core;

namespace Sluice.Text.Jinja;

/// <summary>
/// A parsed Jinja template. It renders as Jinja2 does in the environment that Hugging Face transformers gives chat templates: an
/// immutable sandbox with <c>trim_blocks</c>, <c>lstrip_blocks</c>, <c>break</c> and <c>continue</c>, <c>generation</c> blocks,
/// <c>raise_exception</c>, <c>strftime_now</c> and Python's <c>tojson</c>.
/// </summary>
/// <remarks>
/// The interpreter is closed: a template reaches its inputs and the built-ins, and nothing of the program around it. Everything it
/// does is bounded by <see cref="JinjaLimits"/>. An instance is immutable and may render on many threads at once.
/// </remarks>
public sealed class JinjaTemplate
{
    private readonly ScopeBody _template;

    private JinjaTemplate(ScopeBody template, IReadOnlySet<string> names, JinjaLimits limits)
    {
        _template = template;
        Names = names;
        Limits = limits;
    }

    /// <summary>Every name the template reads as a variable: its inputs, and what it calls its own or the built-ins by.</summary>
    public IReadOnlySet<string> Names { get; }

    /// <summary>What a rendering may cost.</summary>
    public JinjaLimits Limits { get; }

    /// <summary>Parses a template.</summary>
    /// <exception cref="TemplateException">
    /// The source is not a valid template, uses a filter or test that does not exist, or exceeds a limit.
    /// </exception>
    public static JinjaTemplate Parse(string source, JinjaLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(source);
        limits ??= JinjaLimits.Default;
        if (source.Length > limits.SourceLength)
        {
            throw new TemplateException(
                $"limit SourceLength: the template has {source.Length} characters, more than {limits.SourceLength}");
        }

        (ScopeBody template, IReadOnlySet<string> names) = Parser.Parse(source, limits);
        return new JinjaTemplate(template, names, limits);
    }

    /// <summary>Renders the template; the segments say which text the template wrote and which came from the inputs.</summary>
    /// <param name="inputs">The template's variables, such as <c>messages</c>.</param>
    /// <param name="time">The clock of <c>strftime_now</c>; the system's by default.</param>
    /// <param name="ct">Stops the rendering.</param>
    /// <returns>Neighbouring segments differ in origin, and none is empty.</returns>
    /// <exception cref="TemplateException">
    /// The template raised an error, did what its values do not allow, or exceeded a limit; with line and column.
    /// </exception>
    /// <exception cref="OperationCanceledException"><paramref name="ct"/> was cancelled.</exception>
    public IReadOnlyList<PromptSegment> Render(JsonObject inputs, TimeProvider? time = null, CancellationToken ct = default) =>
        Render(inputs, trusted: null, time, ct);

    /// <summary>
    /// Like <see cref="Render(JsonObject, TimeProvider?, CancellationToken)"/>, with further variables whose text counts as the
    /// template's own: <c>bos_token</c> and the like, which come with the model. An input of the same name wins.
    /// </summary>
    public IReadOnlyList<PromptSegment> Render(
        JsonObject inputs, JsonObject? trusted, TimeProvider? time = null, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        RenderContext context = new(Limits, time ?? TimeProvider.System, ct);
        TextBuilder output = new(context, Limits.OutputLength);
        Scope variables = new(null);
        Globals.AddTo(variables);
        if (trusted is not null)
        {
            new InputReader(context, fromTemplate: true).AddTo(variables, trusted);
        }

        new InputReader(context, fromTemplate: false).AddTo(variables, inputs);
        new Evaluator(context, output).Run(_template, variables);
        return output.ToSegments();
    }

    /// <summary>Renders the template as plain text, origins forgotten.</summary>
    /// <inheritdoc cref="Render(JsonObject, TimeProvider?, CancellationToken)" path="/param"/>
    /// <inheritdoc cref="Render(JsonObject, TimeProvider?, CancellationToken)" path="/exception"/>
    public string RenderText(JsonObject inputs, TimeProvider? time = null, CancellationToken ct = default)
    {
        StringBuilder text = new();
        foreach (PromptSegment segment in Render(inputs, time, ct))
        {
            text.Append(segment.Text);
        }

        return text.ToString();
    }
}
