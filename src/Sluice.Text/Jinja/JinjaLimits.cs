namespace Sluice.Text.Jinja;

/// <summary>
/// What one template may cost. A template comes with a downloaded checkpoint and its inputs come from strangers, so neither may
/// hang or exhaust the process. The defaults leave every real chat template orders of magnitude of room.
/// </summary>
public sealed record JinjaLimits
{
    /// <summary>The limits used when none are given.</summary>
    public static JinjaLimits Default { get; } = new();

    /// <summary>Characters of template source.</summary>
    public int SourceLength { get; init; } = 1 << 20;

    /// <summary>How deep statements and expressions may nest in the source, and how tall an expression tree may grow.</summary>
    public int NestingDepth { get; init; } = 200;

    /// <summary>How deep evaluation may nest: expressions inside macros inside loops, data inside data.</summary>
    public int EvaluationDepth { get; init; } = 1000;

    /// <summary>How many macro calls and recursive loops may be in progress at once.</summary>
    public int MacroDepth { get; init; } = 200;

    /// <summary>
    /// Steps of one rendering: one for each node evaluated and each item visited, and more for work on text in proportion to its
    /// length. The default takes a few seconds at worst; a chat of a thousand messages needs a few hundred thousand.
    /// </summary>
    public long Fuel { get; init; } = 20_000_000;

    /// <summary>Characters of rendered text.</summary>
    public int OutputLength { get; init; } = 1 << 24;

    /// <summary>Bytes of text, lists and dicts that one rendering may create in all, whether or not it keeps them.</summary>
    public long AllocatedBytes { get; init; } = 1L << 28;

    /// <summary>Numbers in one <c>range()</c>, as in Jinja2's sandbox.</summary>
    public int RangeLength { get; init; } = 100_000;

    /// <summary>Bits in an integer; Python too refuses to print integers of more than 4,300 digits.</summary>
    public int IntegerBits { get; init; } = 14_000;
}
