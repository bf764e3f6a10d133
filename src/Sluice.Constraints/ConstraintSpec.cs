using System.Globalization;
using System.Text;

namespace Sluice.Constraints;

/// <summary>What a text must look like, as a request says it. A <see cref="ConstraintCompiler"/> makes it usable.</summary>
public abstract record ConstraintSpec
{
    private protected ConstraintSpec()
    {
    }

    /// <summary>The request's field this came from, in the API's own words, for errors.</summary>
    public string Field { get; init; } = "constraint";

    /// <summary>Appends what tells this constraint from every other.</summary>
    internal abstract void AppendKey(StringBuilder key);

    private protected static void Append(StringBuilder key, string kind, string text) =>
        key.Append(kind).Append(text.Length.ToString(CultureInfo.InvariantCulture)).Append(':').Append(text);

    private protected static void Append(StringBuilder key, string kind, IReadOnlyList<ConstraintSpec> parts)
    {
        key.Append(kind).Append(parts.Count.ToString(CultureInfo.InvariantCulture)).Append('(');
        foreach (ConstraintSpec part in parts)
            part.AppendKey(key);
        key.Append(')');
    }
}

/// <summary>A JSON value that a JSON Schema describes.</summary>
/// <param name="Schema">The schema, JSON text.</param>
public sealed record JsonSchemaSpec(string Schema) : ConstraintSpec
{
    /// <summary>
    /// Whether an object that declares properties and does not speak of others has no others. JSON Schema says it may have any; for the
    /// parameters of tools, and where a schema is called strict, that is rarely meant.
    /// </summary>
    public bool ClosedObjects { get; init; }

    internal override void AppendKey(StringBuilder key) => Append(key, ClosedObjects ? "S" : "s", Schema);
}

/// <summary>Any JSON object.</summary>
public sealed record JsonObjectSpec : ConstraintSpec
{
    internal override void AppendKey(StringBuilder key) => key.Append('o');
}

/// <summary>A text that a regular expression matches as a whole.</summary>
/// <param name="Expression">The expression, in ECMAScript's syntax.</param>
public sealed record RegexSpec(string Expression) : ConstraintSpec
{
    internal override void AppendKey(StringBuilder key) => Append(key, "r", Expression);
}

/// <summary>One of some texts.</summary>
/// <param name="Choices">The texts.</param>
public sealed record ChoiceSpec(IReadOnlyList<string> Choices) : ConstraintSpec
{
    internal override void AppendKey(StringBuilder key)
    {
        key.Append('c').Append(Choices.Count.ToString(CultureInfo.InvariantCulture)).Append('(');
        foreach (string choice in Choices)
            Append(key, "", choice);
        key.Append(')');
    }
}

/// <summary>A text of a context-free grammar.</summary>
/// <param name="Grammar">The grammar, in llama.cpp's GBNF.</param>
public sealed record GrammarSpec(string Grammar) : ConstraintSpec
{
    internal override void AppendKey(StringBuilder key) => Append(key, "g", Grammar);
}

/// <summary>
/// Exactly this text. Where it holds added tokens of the tokenizer, such as <c>&lt;tool_call&gt;</c>, it is those tokens that must come, not
/// their spelling.
/// </summary>
/// <param name="Text">The text.</param>
public sealed record LiteralSpec(string Text) : ConstraintSpec
{
    internal override void AppendKey(StringBuilder key) => Append(key, "l", Text);
}

/// <summary>
/// Any text, to its end or up to and including the first occurrence of some words. If the words are an added token of the tokenizer, that
/// token must come, and they do not occur spelled out either.
/// </summary>
/// <param name="Until">The words; null for text to the end.</param>
public sealed record FreeTextSpec(string? Until = null) : ConstraintSpec
{
    internal override void AppendKey(StringBuilder key) => Append(key, Until is null ? "F" : "f", Until ?? "");
}

/// <summary>One part after the other.</summary>
/// <param name="Parts">The parts.</param>
public sealed record SequenceSpec(IReadOnlyList<ConstraintSpec> Parts) : ConstraintSpec
{
    /// <summary>Creates a sequence.</summary>
    public SequenceSpec(params ConstraintSpec[] parts)
        : this((IReadOnlyList<ConstraintSpec>)parts)
    {
    }

    internal override void AppendKey(StringBuilder key) => Append(key, "q", Parts);
}

/// <summary>One of the parts.</summary>
/// <param name="Parts">The parts.</param>
public sealed record AlternativesSpec(IReadOnlyList<ConstraintSpec> Parts) : ConstraintSpec
{
    /// <summary>Creates alternatives.</summary>
    public AlternativesSpec(params ConstraintSpec[] parts)
        : this((IReadOnlyList<ConstraintSpec>)parts)
    {
    }

    internal override void AppendKey(StringBuilder key) => Append(key, "a", Parts);
}

/// <summary>A part, some number of times.</summary>
/// <param name="Part">The part.</param>
/// <param name="Min">Times it must come.</param>
/// <param name="Max">Times it may come; null for any number.</param>
public sealed record RepeatSpec(ConstraintSpec Part, int Min, int? Max) : ConstraintSpec
{
    internal override void AppendKey(StringBuilder key) =>
        Append(key, string.Create(CultureInfo.InvariantCulture, $"x{Min},{Max},"), [Part]);
}
