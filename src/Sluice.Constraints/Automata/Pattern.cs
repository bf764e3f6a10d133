using System.Text;

namespace Sluice.Constraints.Automata;

/// <summary>A regular expression as a tree, over characters and over bytes.</summary>
internal abstract record Pattern
{
    /// <summary>The empty text.</summary>
    public static Pattern Empty { get; } = new SequencePattern([]);

    /// <summary>Nothing, not even the empty text.</summary>
    public static Pattern Nothing { get; } = new ChoicePattern([]);

    /// <summary>Any text.</summary>
    public static Pattern AnyText { get; } = new RepeatPattern(new SetPattern(CodePointSet.All), 0, null);

    public static Pattern Text(string text) => new BytesPattern(Encoding.UTF8.GetBytes(text));

    public static Pattern Characters(string characters) => new SetPattern(CodePointSet.OfCharacters(characters));

    public static Pattern Sequence(params Pattern[] parts) => parts.Length == 1 ? parts[0] : new SequencePattern(parts);

    public static Pattern Choice(params Pattern[] parts) => parts.Length == 1 ? parts[0] : new ChoicePattern(parts);

    public Pattern Optional() => Repeat(0, 1);

    /// <summary>This, repeated; a <paramref name="max"/> of null means any number.</summary>
    public Pattern Repeat(int min, int? max) => new RepeatPattern(this, min, max);

    /// <summary>The automaton that accepts exactly this pattern's texts.</summary>
    public Dfa Compile(CompileBudget budget, string what) => Dfa.Explore(new Determiniser(new Nfa(this, budget), budget), budget, what).Minimised();
}

/// <summary>These bytes.</summary>
internal sealed record BytesPattern(byte[] Bytes) : Pattern;

/// <summary>One character of a set.</summary>
internal sealed record SetPattern(CodePointSet Set) : Pattern;

/// <summary>One part after the other.</summary>
internal sealed record SequencePattern(IReadOnlyList<Pattern> Parts) : Pattern;

/// <summary>One of the parts.</summary>
internal sealed record ChoicePattern(IReadOnlyList<Pattern> Parts) : Pattern;

/// <summary>A part, some number of times.</summary>
internal sealed record RepeatPattern(Pattern Part, int Min, int? Max) : Pattern;
