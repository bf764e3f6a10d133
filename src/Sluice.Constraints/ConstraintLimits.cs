namespace Sluice.Constraints;

/// <summary>How large a constraint may be. What exceeds a limit is refused with an error that says so; nothing is cut short.</summary>
public sealed record ConstraintLimits
{
    /// <summary>The limits used unless others are given.</summary>
    public static ConstraintLimits Default { get; } = new();

    /// <summary>Characters of a schema, expression or grammar, or of all choices together.</summary>
    public int SourceLength { get; init; } = 256 * 1024;

    /// <summary>How deep schemas, groups and grammars may nest.</summary>
    public int Depth { get; init; } = 100;

    /// <summary>States of one deterministic automaton.</summary>
    public int AutomatonStates { get; init; } = 20_000;

    /// <summary>Nodes of one nondeterministic automaton, of the grammar, and of the schema.</summary>
    public int Nodes { get; init; } = 100_000;

    /// <summary>Wall time of a compilation.</summary>
    public TimeSpan CompileTime { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Time spent on filling caches ahead of use once a constraint is compiled.</summary>
    public TimeSpan WarmUpTime { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Bytes that one compiled constraint may use for states and masks computed so far. Beyond it starts afresh.</summary>
    public long CacheBytes { get; init; } = 32L << 20;

    /// <summary>Ways of reading the text so far that are followed at once.</summary>
    public int Ambiguity { get; init; } = 5_000;

    /// <summary>Compiled constraints that a compiler keeps.</summary>
    public int CompiledConstraints { get; init; } = 64;
}
